"""Where the files are that a table names: beside it, in a folder near it or given by --images, with or without ending.

Tables travel without their images, and images without their tables. A rule is a folder and a number of leading parts of
each path that are left out, so that C:\\Users\\someone\\img\\1.jpg can be img/1.jpg here. A rule is only looked for
where no file is found as the table says, or the user names a folder, and only taken if no other finds as many.
"""
import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote

from core.data.folder import SUFFIXES, SYSTEM
from core.errors import need

ADDRESS = re.compile(r"[a-z][a-z0-9+.\-]+://", re.IGNORECASE)
DEEPEST = 24                           # parts of a path that are compared, from its end
SAMPLE = 40                            # paths by which rules are compared
FOLDERS = 200                          # near a table that are looked into
NEAR = re.compile(r"((all|train|test|val|raw|my|jpe?g)[ _-]?)*(im(g|age)s?|photos?|pic(ture)?s?|frames?|jpe?gs?|pngs?|"
                  r"train|test|val|data|raw|uploads?|media)[ _-]?\d*", re.IGNORECASE)      # beside the table's folder


def find(table, texts, images=None):
    """([path relative to the table's folder, or None where there is no such file], notes) of the texts.

    images: the folder that the user names. Raises InputError where two folders have the files, and none was named.
    """
    folder = Path(table).parent
    if images is None:
        found = [text and located(folder, text) for text in texts]
        if any(found) or not any(texts):
            return [where or None for where in found], []
        groups = near(folder)
    else:
        need(os.path.isdir(images), f"--images {images} is not a folder: give the folder that holds the images")
        groups = [[str(images)]]
    for bases in groups:
        places, notes = by_rule(table, folder, texts, bases)
        if notes:
            break
    return places, notes


def located(folder, text):
    """The path of a file as it is on the disk, relative to `folder` where it is given so;
    None if there is no such file.

    Tables travel: those from Windows have backslashes, those from a Mac may spell accents as two characters.
    """
    for spelling in dict.fromkeys((text, text.replace("\\", "/"))):
        for form in dict.fromkeys((spelling, unicodedata.normalize("NFC", spelling),
                                   unicodedata.normalize("NFD", spelling))):
            if os.path.isfile(os.path.join(folder, form)):
                return Path(os.path.normpath(form)).as_posix()
    return None


# ---- rules -----------------------------------------------------------------------------------------------------------

def by_rule(table, folder, texts, bases):
    """(places, notes) by the rule that finds most of the files. Raises InputError where two find as many."""
    disk, wanted = Disk(), [parts(text) if text else [] for text in texts]
    some = [k for k, one in enumerate(wanted) if one][::max(1, sum(map(bool, wanted)) // SAMPLE)]
    results = {}
    for base in bases:
        for left_out in range(max((len(wanted[k]) for k in some), default=0)):
            places = tuple(disk.find(base, wanted[k][min(left_out, len(wanted[k]) - 1):]) for k in some)
            results.setdefault(places, (base, left_out))
    most = max((sum(map(bool, places)) for places in results), default=0)
    best = [rule for places, rule in results.items() if most and sum(map(bool, places)) == most]
    fewest = min((left_out for _, left_out in best), default=0)        # parts that agree are evidence
    best = [rule for rule in best if rule[1] == fewest]
    found = {}
    for base, left_out in best:
        places = [one and disk.find(base, one[min(left_out, len(one) - 1):]) for one in wanted]
        if one_to_one(wanted, places):
            found.setdefault(tuple(place or None for place in places), base)
    if not found:
        return [None] * len(texts), []
    need(len(found) == 1, f"{table}: files of these names are in {' and in '.join(list(found.values())[:2])}: choose "
                          "one folder with --images")
    (places, base), = found.items()
    row = next(k for k, place in enumerate(places) if place)
    places = [place and relative(place, folder) for place in places]
    return places, [f"{table}: the files were found in {base}, for example {texts[row]:.200} as {places[row]}"]


def one_to_one(wanted, places):
    """Whether no two different paths are the same file."""
    names = {}
    return all(names.setdefault(place, one) == one for one, place in zip(wanted, places) if place)


def relative(place, folder):
    """A path as seen from a folder, where that can be said."""
    try:
        return Path(os.path.relpath(place, folder)).as_posix()
    except ValueError:                 # another drive of Windows
        return Path(os.path.abspath(place)).as_posix()


def parts(text):
    """The parts of a path of any system, or of an address."""
    text = unquote(text.partition("/data/local-files/?d=")[2]) or text     # as Label Studio has files of its own disk
    if ADDRESS.match(text):
        text = unquote(re.split("[?#]", text.partition("://")[2])[0])
    found = [part for part in re.split(r"[/\\]", text) if part not in ("", ".")]
    found = found if ".." not in found else found[len(found) - found[::-1].index(".."):]
    return found[-DEEPEST:]


def near(folder):
    """Two groups of folders: the folder and those in it, two levels deep; those beside it, if called like images."""
    own = [str(folder), *inside(folder)]
    own += [path for one in own[1:FOLDERS] for path in inside(one)]
    parent = Path(os.path.abspath(folder)).parent
    beside = inside(parent) if parent != parent.parent else []
    return own[:FOLDERS], [path for path in beside if NEAR.fullmatch(os.path.basename(path))][:FOLDERS]


def inside(folder):
    """The folders in a folder, sorted; links and hidden ones are left out."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False)
                          and not entry.name.startswith(".") and entry.name.lower() not in SYSTEM)
    except OSError:
        return []


class Disk:
    """The names in folders, each read once."""

    def __init__(self):
        self.folders = {}

    def find(self, base, tail):
        """The file base/tail; its ending may lack or be another, its case may differ. None for none or two of them."""
        *above, name = tail
        folder = os.path.join(base, *above)
        if folder not in self.folders:
            self.folders[folder] = self.names(folder)
        exact, loose = self.folders[folder]
        name = unicodedata.normalize("NFC", name)
        stem, suffix = os.path.splitext(name)
        other = loose.get(stem.casefold(), []) if suffix.lower() in SUFFIXES else []       # saved in another format
        found = [exact[name]] if name in exact else loose.get(name.casefold(), other)
        return os.path.join(folder, found[0]) if len(found) == 1 else None

    @staticmethod
    def names(folder):
        """({name: as on the disk}, {name in lower case, with and without its ending: [as on the disk]}) of images."""
        exact, loose = {}, {}
        try:
            with os.scandir(folder) as entries:
                files = [entry.name for entry in entries if entry.is_file()]
        except (OSError, ValueError):
            return {}, {}
        for name in files:
            form = unicodedata.normalize("NFC", name)
            exact[form] = name
            stem, suffix = os.path.splitext(form)
            if suffix.lower() in SUFFIXES:
                for key in {form.casefold(), stem.casefold()}:
                    loose.setdefault(key, []).append(name)
        return exact, loose
