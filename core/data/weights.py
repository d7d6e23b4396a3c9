"""The tensors in a file of weights, whichever of the usual formats it has: PyTorch's own, or safetensors."""
import safetensors

from core.data import pth
from core.errors import InputError, need

TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": pth.BFLOAT16, "I64": "<i8", "I32": "<i4", "I16": "<i2",
         "I8": "<i1", "U8": "<u1", "BOOL": "?"}


def read(path):
    """{name: array} of a file, whose format its first bytes tell. Raises InputError, which names the file.

    Types as in core/data/pth.py. The arrays take as much memory as the file, those of safetensors at first three times.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise InputError(f"{path} cannot be read, {error.strerror}: check the path and its permissions") from None
    return safe(path) if start[8:] == b"{" else pth.read(path)


def safe(path):
    """The same of a safetensors file. Raises InputError for a damaged or empty one."""
    try:
        with open(path, "rb") as file:
            tensors = safetensors.deserialize(file.read())
        found = {name: array(about) for name, about in tensors}
    except InputError:
        raise
    except Exception as error:         # a damaged file can raise nearly anything
        raise InputError(f"{path} is damaged or no safetensors file: download it again") from error
    need(found, f"{path} has no tensors: save the model's state_dict()")
    return found


def array(about):
    """A tensor's array: its shape, its type and its bytes, which the library has compared with each other."""
    return pth.numbers(bytes(about["data"]), TYPES[about["dtype"]]).reshape(about["shape"])
