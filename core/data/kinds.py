"""What a file is by its first bytes and by its ending: images that are read, and other things in words."""
import re

READ = ("JPEG", "PNG", "PPM", "BMP", "GIF", "TIFF", "WebP", "AVIF", "HEIC")
SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".ppm", ".pgm", ".pbm", ".pnm", ".bmp", ".gif", ".tif", ".tiff",
            ".webp", ".avif", ".avifs", ".heic", ".heif", ".hif"}
HEAD = 512                             # bytes that tell the kind
ENDING = re.compile(r"\.[A-Za-z]\w*~?$")       # of a name: .jpg_large is one; .0001, .jpg?w=100 and ". Smith" are none

BEGINNINGS = [                         # of files, as regular expressions of bytes
    ("JPEG", rb"\xff\xd8\xff"), ("PNG", rb"\x89PNG\r\n\x1a\n"), ("GIF", rb"GIF8[79]a"), ("WebP", rb"RIFF....WEBP"),
    ("BMP", rb"BM.{4}\0\0\0\0.{4}[\x0c-\x7c]\0\0\0"), ("PPM", rb"P[1-6][\s#]"),
    ("AVIF", rb"....ftypavi[fs]"), ("HEIC", rb"....ftyp(hei[cxms]|hev[cxms]|mif[12]|msf1)"),
    ("a camera's raw file", rb"II\*\0....CR|....ftypcrx |FUJIFILMCCD-RAW|II(RO|RS|U\0)|MMOR"),
    ("TIFF", rb"II[*+]\0|MM\0[*+]"),
    ("a video", rb"....ftyp|RIFF....AVI |\x1aE\xdf\xa3|FLV\x01|\0\0\x01[\xb3\xba]|....(moov|mdat|wide)|OggS"),
    ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL "), ("JPEG 2000", rb"\0\0\0\x0cjP  |\xffO\xffQ"),
    ("PDF", rb"%PDF"), ("PostScript", rb"%!PS|\xc5\xd0\xd3\xc6"), ("a Photoshop document", rb"8BPS"),
    ("an icon", rb"\0\0[\x01\x02]\0[^\0]\0|icns"), ("DICOM", rb".{128}DICM"), ("OpenEXR", rb"v/1\x01"),
    ("Radiance HDR", rb"#\?R(ADIANCE|GBE)"), ("DDS", rb"DDS "), ("FITS", rb"SIMPLE  ="),
    ("an XCF of GIMP", rb"gimp xcf"), ("DjVu", rb"AT&TFORM"),
    ("a drawing (EMF)", rb"\x01\0\0\0.{36} EMF"), ("HDF5", rb"\x89HDF\r\n"),
    ("SVG", rb"\s*(<\?xml.*)?(<!--.*)?(<!DOCTYPE svg.*)?<svg"), ("a web page", rb"(?i)\s*<(!doctype html|html|head)"),
    ("a pointer of Git LFS", rb"version https://git-lfs"),
    ("an archive", rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf|BZh|\xfd7zXZ"),
]
BEGINNINGS = [(kind, re.compile(pattern, re.DOTALL)) for kind, pattern in BEGINNINGS]
ENDINGS = {                            # kinds whose files look like others from inside, or are known by name alone
    "a camera's raw file": ".nef .arw .dng .cr2 .cr3 .raf .orf .rw2 .pef .srw .nrw .3fr .iiq .raw .dcr .kdc .mrw .x3f",
    "JPEG XL": ".jxl", "JPEG 2000": ".jp2 .j2k .jpx .jpf", "SVG": ".svg .svgz", "PDF": ".pdf", "TGA": ".tga",
    "a video": ".mp4 .mov .avi .mkv .webm .m4v .mpg .mpeg .wmv .flv .3gp .mts .m2ts", "an icon": ".ico .icns .cur",
    "a Photoshop document": ".psd .psb", "DICOM": ".dcm .dicom", "NIfTI": ".nii", "OpenEXR": ".exr",
    "Radiance HDR": ".hdr", "PostScript": ".eps .ps .ai", "DDS": ".dds", "FITS": ".fits .fit", "an XCF of GIMP": ".xcf",
    "DjVu": ".djvu", "a drawing (EMF)": ".emf .wmf", "PCX": ".pcx", "JPEG XR": ".jxr .wdp .hdp",
}
KIND_OF = {ending: kind for kind, endings in ENDINGS.items() for ending in endings.split()}
PICTURES = {*KIND_OF.values()}         # what a person would call an image or a video
WITHOUT_LOOKING = set(".txt .json .jsonl .xml .csv .tsv .npy .npz .md .html .htm .yaml .yml .py .log .ini .toml .pkl "
                      ".zip .gz .tar .db .doc .docx .xls .xlsx .ipynb .mat .h5 .pt .pth .xmp .aae".split())
REMEDY = {
    "HEIC": "to read it install pillow-heif (`python -m pip install pillow-heif`), or convert it to JPEG",
    "AVIF": "to read it install Pillow 11.3 or newer, or convert it to JPEG",
    "a pointer of Git LFS": "fetch the images themselves (`git lfs pull`)",
    "a web page": "download the image itself",
    "an archive": "unpack it",
    "a video": "save single pictures of it as JPEG",
}


def kind_of(head):
    """The kind of a file that begins with these bytes, one of READ or another; None if nobody knows."""
    if not head:
        return "an empty file"
    return next((kind for kind, pattern in BEGINNINGS if pattern.match(head)), None)


def beginning(path):
    """The first bytes of a file; none where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def has_ending(name):
    """Whether a name ends in something that says what the file is."""
    return ENDING.search(name) is not None


def ending_of(name):
    """.JPG -> .jpg"""
    return "." + name.rpartition(".")[2].lower() if "." in name.strip(".") else ""


def with_remedy(kind):
    """JPEG XL: convert it to JPEG or PNG"""
    return f"{kind}: {remedy_for(kind)}"


def remedy_for(kind):
    """What to do with a file of this kind."""
    return REMEDY.get(kind, "convert it to JPEG or PNG")
