"""Images as text: small JPEGs in data URIs, for pages that have to be one file."""
import base64
import io

SIDE = 96                              # pixels of the longer side at most; smaller images stay as they are


def data_uris(images, rows, budget):
    """{row: data URI} of images (N, H, W, 3) uint8 in the order of `rows`, until `budget` characters are used up."""
    found = {}
    for row in rows:
        uri = data_uri(images[row])
        budget -= len(uri)
        if budget < 0:
            break
        found[int(row)] = uri
    return found


def data_uri(image):
    """One image (H, W, 3) uint8. Colours are not thinned out: of 32 pixels there are none to spare."""
    from PIL import Image  # imported where needed: demo.py starts sooner

    picture, file = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((SIDE, SIDE))
    picture.save(file, "JPEG", quality=88, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
