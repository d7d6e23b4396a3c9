"""python -m docs.beside: writes docs/beside.html; with --record trains first."""
import argparse

from docs.beside import page, recording


def main():
    parser = argparse.ArgumentParser(prog="python -m docs.beside", description=__doc__)
    parser.add_argument("--record", action="store_true", help="train the small networks anew, two minutes")
    if parser.parse_args().record:
        recording.save()
    page.PAGE.write_text(page.render(), encoding="utf-8")


if __name__ == "__main__":
    main()
