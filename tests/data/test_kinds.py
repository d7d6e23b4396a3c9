"""core/data/kinds.py: every kind by the bytes that its format prescribes, and every ending."""
import re

import pytest

from core.data import images, kinds
from core.data.kinds import KIND_OF, PICTURES, READ, SUFFIXES, beginning, ending_of, has_ending, kind_of, remedy_for

FOUR = b"\1\2\3\4"                     # of any value, as lengths and offsets are
FIRST = {                              # kind: first bytes, by the formats' own descriptions
    "JPEG": ["ff d8 ff e0", "ff d8 ff db", "ff d8 ff ee"], "PNG": ["89 50 4e 47 0d 0a 1a 0a"],
    "GIF": [b"GIF87a", b"GIF89a"], "WebP": [b"RIFF" + FOUR + b"WEBPVP8 ", b"RIFF\n\n\n\nWEBPVP8L"],
    "BMP": [b"BM" + FOUR + bytes(4) + FOUR + bytes([size, 0, 0, 0]) for size in (12, 40, 64, 108, 124)],
    "PPM": [b"P%d\n8 8\n" % k for k in range(1, 7)] + [b"P6 8 8", b"P5#x"],
    "AVIF": [b"\0\0\0\x20ftypavif", b"\0\0\0\nftypavis"],
    "HEIC": [b"\0\0\0\x18ftyp" + brand for brand in b"heic heix heim heis hevc hevx mif1 mif2 msf1".split()],
    "TIFF": [b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"],
    "a camera's raw file": [b"II*\0\x10\0\0\0CR\2\0", b"\0\0\0\x18ftypcrx ", b"FUJIFILMCCD-RAW 0201", b"IIRO\x08\0",
                            b"IIRS\x08\0", b"IIU\0\x08\0", b"MMOR"],
    "a video": [b"\0\0\0\x18ftypmp42", b"\0\0\0\x14ftypqt  ", b"RIFF\n\n\n\nAVI LIST", "1a 45 df a3", b"FLV\1",
                "00 00 01 ba", "00 00 01 b3", b"\0\0\0\x08moov", b"\0\0\0\x08mdat", b"\0\0\0\x08wide", b"OggS"],
    "JPEG XL": ["ff 0a", "00 00 00 0c 4a 58 4c 20 0d 0a 87 0a"],
    "JPEG 2000": ["00 00 00 0c 6a 50 20 20 0d 0a 87 0a", "ff 4f ff 51"], "PDF": [b"%PDF-1.7"],
    "PostScript": [b"%!PS-Adobe", "c5 d0 d3 c6"], "a Photoshop document": [b"8BPS\0\1"],
    "an icon": ["00 00 01 00 01 00", "00 00 02 00 05 00", b"icns"],
    "DICOM": [bytes(128) + b"DICM", b"\n" * 128 + b"DICM"],
    "OpenEXR": ["76 2f 31 01"], "Radiance HDR": [b"#?RADIANCE\n", b"#?RGBE\n"], "DDS": [b"DDS |"],
    "FITS": [b"SIMPLE  =                    T"], "an XCF of GIMP": [b"gimp xcf v011"], "DjVu": [b"AT&TFORM"],
    "a drawing (EMF)": [b"\1\0\0\0" + b"\n" * 36 + b" EMF"], "HDF5": [b"\x89HDF\r\n\x1a\n"],
    "SVG": [b"<svg xmlns", b"\n <?xml version='1.0'?>\n<!-- x\n -->\n<!DOCTYPE svg>\n<svg>", b"<!-- x --><svg>"],
    "a web page": [b"<!DOCTYPE html>", b"\n<html lang", b"<HEAD>"],
    "a pointer of Git LFS": [b"version https://git-lfs.github.com/spec/v1"],
    "an archive": [b"PK\3\4", "1f 8b 08", b"Rar!\x1a", "37 7a bc af 27 1c", b"BZh9", "fd 37 7a 58 5a 00"],
    "an empty file": [b""], None: [b"text", b"\0" * 200, b"P7\n", b"P3x", b"BM" + b"\1" * 30, b"GIF88a", b" %PDF"],
}
CASES = [(kind, bytes.fromhex(raw) if isinstance(raw, str) else raw) for kind, several in FIRST.items()
         for raw in several]


@pytest.mark.parametrize("kind, raw", CASES, ids=[f"{kind} {k}" for k, (kind, _) in enumerate(CASES)])
def test_the_first_bytes_tell_the_kind(tmp_path, kind, raw):
    assert kind_of(raw) == kind
    assert kind_of(raw + b"\n" * 9) == kind or not raw                     # whatever follows
    (tmp_path / "x").write_bytes(raw + b"x" * 1000)
    assert beginning(tmp_path / "x") == (raw + b"x" * 1000)[:kinds.HEAD]


def test_every_kind_is_tried():
    assert {kind for kind, _ in kinds.BEGINNINGS} < FIRST.keys() and set(READ) < FIRST.keys()


def test_what_cannot_be_opened_has_no_first_bytes(tmp_path):
    assert beginning(tmp_path / "none") == beginning(tmp_path) == b""


ENDINGS = {                            # by the formats' own descriptions
    None: ".jpg .jpeg .jpe .jfif .png .ppm .pgm .pbm .pnm .bmp .gif .tif .tiff .webp .avif .avifs .heic .heif .hif"
          " .txt",
    "a camera's raw file": ".nef .arw .dng .cr2 .cr3 .raf .orf .rw2 .pef .srw .nrw .3fr .iiq .raw .dcr .kdc .mrw .x3f",
    "JPEG XL": ".jxl", "JPEG 2000": ".jp2 .j2k .jpx .jpf", "SVG": ".svg .svgz", "PDF": ".pdf", "TGA": ".tga",
    "a video": ".mp4 .mov .avi .mkv .webm .m4v .mpg .mpeg .wmv .flv .3gp .mts .m2ts", "an icon": ".ico .icns .cur",
    "a Photoshop document": ".psd .psb", "DICOM": ".dcm .dicom", "NIfTI": ".nii", "OpenEXR": ".exr",
    "Radiance HDR": ".hdr", "PostScript": ".eps .ps .ai", "DDS": ".dds", "FITS": ".fits .fit",
    "an XCF of GIMP": ".xcf", "DjVu": ".djvu", "a drawing (EMF)": ".emf .wmf", "PCX": ".pcx",
    "JPEG XR": ".jxr .wdp .hdp"}


def test_every_ending_tells_its_kind():
    for kind, several in ENDINGS.items():
        for ending in several.split():
            assert KIND_OF.get(ending) == kind and (ending in SUFFIXES) == (kind is None and ending != ".txt")
            for name in (f"a{ending}", f"a{ending.upper()}", f"a.b{ending}"):
                assert ending_of(name) == ending
    assert set(KIND_OF) == {ending for kind, several in ENDINGS.items() if kind for ending in several.split()}
    assert PICTURES == ENDINGS.keys() - {None} and not SUFFIXES & kinds.WITHOUT_LOOKING
    assert [ending_of(name) for name in ("a", "", ".png", "a.", "...")] == [""] * 5


def test_what_is_an_ending():
    assert all(map(has_ending, ("a.x", "a.jpg_large", "a.bak~", "a.1.b2")))
    assert not any(map(has_ending, ("a", "a.0001", "a.jpg?w=100", "Dr. Smith", "a.", "a.1b")))


def test_every_picture_has_a_remedy():
    for kind in PICTURES | {"HEIC", "AVIF"}:
        assert re.search(r"JPEG( or PNG)?$", remedy_for(kind))
    assert [remedy_for(kind) for kind in ("a web page", "an archive", "a pointer of Git LFS", "a video")] == [
        "download the image itself", "unpack it", "fetch the images themselves (`git lfs pull`)",
        "save single pictures of it as JPEG"]


def test_what_cannot_be_decoded_is_called_by_its_kind(tmp_path):
    """Under the name of an image: what it is, and what to do."""
    for kind in sorted(PICTURES & FIRST.keys()) + ["a web page", "an archive"]:
        raw = next(raw for name, raw in CASES if name == kind)
        (tmp_path / "a.jpg").write_bytes(raw + bytes(600))
        why, = images.decode_piece([tmp_path / "a.jpg"], 16)[2]
        assert why == f"{kind}: {remedy_for(kind)}"
