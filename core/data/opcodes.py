"""Pickles that describe arrays, executed opcode by opcode: dicts, lists, tuples, texts and numbers, nothing else.

Python's own unpickler with an allow-list runs nothing either, but it hashes whatever a pickle takes as a key, and a
tuple that holds the same tuple twice, forty deep, has 2^40 parts to hash. Here the cost of every opcode is bounded by
the bytes that it takes, their number is limited, only texts and whole numbers are keys, and only the functions that the
caller lists are called.
"""
import io
import pickle
import pickletools

from core.errors import InputError

LIMIT = 1 << 20                        # bytes of a pickle: 150 describe a tensor; objects take up to 100 times more
MOST = 2_000_000                       # opcodes: about 3 s; the largest batch of the CIFAR family has a quarter of them
ARGUMENTS = 16                         # of a call: unpacked at every call, while the tuple stands in the pickle once
VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING",
          "BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "BINUNICODE8", "LONG4",
          "INT", "LONG", "FLOAT", "STRING", "UNICODE"}                           # the last row: of protocol 0
REMEDY = "which no tensor needs (it was not run): save the model's state_dict() alone, or as safetensors"
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


def execute(raw, where, functions, persistent, remedy=REMEDY):
    """(the object in the pickle at the beginning of `raw`; the bytes that it takes). The caller limits len(raw).

    functions: {(module, name): what stands for it, called as the pickle asks}; persistent: called with a
    persistent id; remedy: what to say of other globals. Raises InputError for a global that is not listed, any other
    exception for what is no such pickle.
    """
    stream, machine = io.BytesIO(raw), Machine(where, functions, persistent, remedy)
    for number, (code, argument, _) in enumerate(pickletools.genops(stream)):
        if code.name == "STOP":
            value, = machine.stack
            return value, stream.tell()
        if number > MOST:
            raise pickle.UnpicklingError("too many opcodes")
        machine.step(code.name, argument)


class Recorded:
    """A call that a pickle asks for, written down instead of made."""

    def __init__(self, *arguments):
        self.arguments, self.state = arguments, None


def enter(found, pairs):
    """Enter the pairs in the dict `found`."""
    for key, value in pairs:
        if type(found) is not dict or type(key) not in (str, bytes, int):
            raise pickle.UnpicklingError("a key that is neither text nor a whole number")
        found[key] = value
    return found


class Machine:
    """The stack, the marks and the memo between two opcodes of a pickle."""

    def __init__(self, where, functions, persistent, remedy):
        self.where, self.functions, self.persistent, self.remedy = where, functions, persistent, remedy
        self.stack, self.marks, self.memo = [], [], {}

    def step(self, name, argument):
        """One opcode, as pickletools describes it."""
        push, pop = self.stack.append, self.stack.pop
        if name in VALUES:
            push(argument)
        elif name in CONSTANTS:
            push(CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE", "PUT"):
            self.memo[len(self.memo) if argument is None else argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            push(self.memo[argument])
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name == "TUPLE":
            push(tuple(self.since_mark()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            push(tuple(self.last(int(name[-1]))))
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            push({} if name == "EMPTY_DICT" else [])
        elif name == "LIST":
            push(self.since_mark())
        elif name == "DICT":
            items = self.since_mark()
            push(enter({}, zip(items[::2], items[1::2], strict=True)))
        elif name in ("SETITEM", "SETITEMS"):
            items = self.last(2) if name == "SETITEM" else self.since_mark()
            enter(self.stack[-1], zip(items[::2], items[1::2], strict=True))
        elif name in ("APPEND", "APPENDS"):
            items = self.last(1) if name == "APPEND" else self.since_mark()
            list.extend(self.stack[-1], items)
        elif name in ("GLOBAL", "STACK_GLOBAL", "INST"):
            push(self.find(*(argument.split(" ", 1) if argument else self.last(2))))
        elif name == "REDUCE":
            function, arguments = self.last(2)
            if type(arguments) is not tuple or len(arguments) > ARGUMENTS:
                raise pickle.UnpicklingError("many arguments")
            push(function(*arguments))
        elif name == "BUILD":
            state = pop()              # what an array consists of; of an OrderedDict attributes, which nobody needs
            if isinstance(self.stack[-1], Recorded):
                self.stack[-1].state = state
        elif name == "BINPERSID":
            push(self.persistent(pop()))
        elif name not in ("PROTO", "FRAME"):
            raise pickle.UnpicklingError(f"the opcode {name}")

    def last(self, n):
        """The last n objects, taken from the stack."""
        if len(self.stack) < n:
            raise pickle.UnpicklingError("an empty stack")
        taken = self.stack[len(self.stack) - n:]
        del self.stack[len(self.stack) - n:]
        return taken

    def since_mark(self):
        """The objects since the last mark, taken from the stack."""
        return self.last(len(self.stack) - self.marks.pop())

    def find(self, module, name):
        """What stands for a global. Raises InputError for one that is not listed."""
        if not type(module) is type(name) is str:
            raise pickle.UnpicklingError("a global without a name")
        if (module, name) not in self.functions:
            raise InputError(f"{self.where} asks to run {module + '.' + name!r:.80}, {self.remedy}")
        return self.functions[module, name]
