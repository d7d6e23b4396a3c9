"""A page of HTML taken apart: its tags, its texts, and the data of its script."""
import json
from html.parser import HTMLParser


class Document(HTMLParser):
    """Tags with their attributes, the texts between them, and the contents of scripts and styles."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.raw, self.open = [], [], [], None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.open = tag

    def handle_endtag(self, tag):
        self.open = None if tag == self.open else self.open

    def handle_data(self, data):
        (self.raw if self.open else self.words).append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    @property
    def data(self):
        return json.loads(next(text for text in self.raw if text.startswith('{"')))


VOID = ("area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr")


class Element:
    """A part of a page with what is in it."""

    def __init__(self, tag="", attrs=()):
        self.tag, self.attrs, self.inside = tag, dict(attrs), []

    def all(self, tag, **attrs):
        """The elements of a kind in it, in their order, that have these attributes."""
        found = []
        for part in self.inside:
            if isinstance(part, Element):
                found += [part] * (part.tag == tag and attrs.items() <= part.attrs.items()) + part.all(tag, **attrs)
        return found

    @property
    def text(self):
        return " ".join("".join(part if isinstance(part, str) else part.text for part in self.inside).split())

    def __getitem__(self, name):
        return self.attrs[name]


class Tree(HTMLParser):
    """A page of HTML as nested Elements: `root`."""

    def __init__(self, html):
        super().__init__()
        self.root = Element()
        self.open = [self.root]
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(self.open[-1].inside[-1])

    def handle_startendtag(self, tag, attrs):
        self.open[-1].inside.append(Element(tag, attrs))

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        self.open[-1].inside.append(data)
