"""Where a person's view of an image comes from: its file, or its bytes in an archive or an array.

The network sees S x S pixels. Who judges a label wants more than 32 of them.
"""
import io
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from core.data.listing import places_of
from core.data.photos import photo

SIDE, QUALITY = 192, 95                # of the JPEG that is kept; a page has 192 pixels at most
AT_ONCE = 4                            # images of an archive in memory, times the threads


def originals_of(listing, index, paths, root, levels=None, jobs=1):
    """Files or Packed of the images of a run; None where there are only those that the network saw.

    listing: the Listing of the data, or None; index (N,): row of each image in it; paths (N,), root: their files, or
    None; levels: as of core/data/depth.py; jobs: threads.
    """
    if listing is not None and listing.packed:
        return Packed(listing, index, levels, jobs)
    return None if root is None else Files(root, paths)


class Files:
    """Images in files, opened when they are asked for."""

    def __init__(self, root, paths):
        self.root, self.paths = root, paths

    def of(self, rows, images):
        """The function of a row that gives the path of its file."""
        return lambda row: os.path.join(self.root, self.paths[row])


class Packed:
    """Images in an archive or an array, which some can only be read from front to back: small ones are kept."""

    def __init__(self, listing, index, levels, jobs):
        self.listing, self.index, self.levels, self.jobs = listing, index, levels, jobs
        self.kept = {}                                       # {row: bytes of a JPEG; None where it cannot be read}

    def of(self, rows, images):
        """The function of a row that gives the bytes of its image, small; all `rows` are read now, in one pass.

        images (N, S, S, 3): what the network saw.
        """
        new = [row for row in rows if row not in self.kept]
        row_of = dict(zip(places_of(self.listing, self.index[new]), new))
        self.kept.update(dict.fromkeys(row_of.values()))
        found = self.listing.packed.originals(self.listing.paths, list(row_of), self.levels) if row_of else iter(())
        with ThreadPoolExecutor(self.jobs) as executor:
            while some := [(row_of[place], raw) for place, raw in islice(found, AT_ONCE * self.jobs)]:
                made = executor.map(lambda pair: small(pair[1], images[pair[0]]), some)
                self.kept.update((row, jpeg) for (row, _), jpeg in zip(some, made))
        return self.kept.get


def small(raw, seen):
    """The bytes of a JPEG of at most SIDE pixels of an image in bytes; None where it is not what the network saw."""
    found = photo(raw, seen, SIDE)
    if found is None:
        return None
    file = io.BytesIO()
    found.save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()
