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
