"""The settings are the paper's, each says where it is from, and shortening keeps their order."""
import pytest

from core.labels import label_update
from core.recipes import FOR_HEADS, OFFICIAL, OURS, RECALLED, RECIPES, UNKNOWN, Recipe, scaled, shortened

PUBLISHED = {"sn-70": (0.08, 1.2, 0.8), "an-40": (0.03, 0.8, 0.4)}                 # lr, alpha, beta


def test_two_recipes_are_the_official_codes_and_no_other_claims_to_be():
    assert {name: (r.lr, r.alpha, r.beta) for name, r in RECIPES.items() if r.source == OFFICIAL} == PUBLISHED


def test_every_other_recipe_says_that_it_is_recalled_or_ours():
    assert {r.source for r in RECIPES.values()} == {OFFICIAL, RECALLED, OURS, UNKNOWN, FOR_HEADS}
    assert all(r.source in (OFFICIAL, RECALLED) for name, r in RECIPES.items() if name[:3] in ("sn-", "an-"))
    assert {name for name in RECIPES if RECIPES[name].source in (OFFICIAL, RECALLED)} == {
        *(f"sn-{rate}" for rate in (0, 10, 30, 50, 70, 90)), *(f"an-{rate}" for rate in (10, 20, 30, 40, 50)),
        "clothing1m"}


@pytest.mark.parametrize("name", [name for name in RECIPES if name[:3] in ("sn-", "an-")])
def test_schedule_of_the_papers_experiments_is_the_official_codes(name):
    r = RECIPES[name]
    assert (r.epochs, r.begin, r.K, r.update, r.predict, r.prior) == (200, 70, 10, "soft", "training", "uniform")
    assert (r.lr2, r.epochs2, r.drops2) == (0.2, 120, (40, 80))
    assert (r.batch, r.momentum, r.decay) == (128, 0.9, 1e-4)


def test_recipe_of_clothing1m_is_what_is_recalled():
    r = RECIPES["clothing1m"]
    assert (r.lr, r.alpha, r.beta, r.epochs, r.begin) == (8e-4, 2.4, 0.8, 10, 1)
    assert (r.lr2, r.epochs2, r.drops2, r.batch, r.momentum, r.decay) == (5e-4, 10, (5,), 32, 0.9, 1e-3)


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_can_be_run(name):
    r = RECIPES[name]
    assert 1 <= r.K <= r.begin < r.epochs and list(r.drops2) == sorted(r.drops2) and r.drops2[-1] < r.epochs2
    assert callable(label_update(r.update)) and 0 < r.lr <= r.lr2 * (1.6 if name == "clothing1m" else 1.2)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("epochs", [1, 2, 3, 10, 37, 200, 400])
def test_shortened_recipe_keeps_the_order_of_its_landmarks(name, epochs):
    long, short = RECIPES[name], shortened(RECIPES[name], epochs)
    assert short.epochs == epochs and 1 <= short.begin <= epochs and 1 <= short.K <= min(short.begin, long.K)
    assert short.epochs2 >= 1 and list(short.drops2) == sorted(short.drops2) and len(short.drops2) == len(long.drops2)
    scaled = ("epochs", "begin", "K", "epochs2", "drops2")
    assert short._replace(**{field: getattr(long, field) for field in scaled}) == long


def test_shortened_recipe_in_numbers():
    short = shortened(RECIPES["sn-70"], 20)
    assert (short.epochs, short.begin, short.K, short.epochs2, short.drops2) == (20, 7, 7, 12, (4, 8))
    assert shortened(RECIPES["sn-70"], 200) == RECIPES["sn-70"]
    assert shortened(Recipe(lr=1, alpha=0, beta=0, epochs=10, begin=0, K=3), 10).begin == 1


@pytest.mark.parametrize("N", [1, 10, 100, 300, 2000, 2048, 10_000, 45_000, 10**6])
def test_recipe_for_any_number_of_images_has_steps_enough_and_not_too_many(N):
    r = scaled(RECIPES["unknown"], N)
    assert r.batch in (16, 32, 64, 128) and (r.batch == 16 or N >= 16 * r.batch)
    assert r.lr / r.batch == pytest.approx(RECIPES["unknown"].lr / 128) and r.lr2 / r.batch == pytest.approx(0.2 / 128)
    steps = r.epochs * N / r.batch
    assert 20 <= r.epochs <= 200 and (r.epochs == 200 or steps >= 4900) and (r.epochs == 20 or steps <= 5100)


def test_recipe_for_10_000_images_in_numbers():
    r = scaled(RECIPES["unknown"], 10_000)
    assert (r.batch, r.epochs, r.begin, r.K, r.epochs2, r.drops2) == (128, 64, 22, 10, 38, (13, 26))
