"""Settings: what is written where, what wins, what is refused, and what is never shown."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from shopkeeper import presets
from shopkeeper.errors import SettingsError, UsageError
from shopkeeper.settings import FILE, Settings, describe_presets, load, write_project

SOURCE = """
[sources.orders]
path = "in"
preset = "uci_online_retail"
"""
OWN = """
[sources.orders]
path = "in"
[sources.orders.tables.lines]
entity = "order_lines"
[sources.orders.tables.lines.columns]
order_id = "order"
quantity = "qty"
unit_price = "price"
ordered_at = "at"
"""


@pytest.fixture
def read(tmp_path):
    """Write a shopkeeper.toml, and a secrets.toml, and load them."""

    def make(written: str = OWN, *, profile: str = "dev", secrets: str | None = None, **environment: str) -> Settings:
        (tmp_path / FILE).write_text(written, "utf-8")
        if secrets is not None:
            (tmp_path / "secrets.toml").write_text(secrets, "utf-8")
        return load(tmp_path, profile, environment)

    return make


# ---------------------------------------------------------------- what wins


@pytest.mark.parametrize(
    ("written", "profile", "environment", "currency"),
    [
        (OWN, "dev", {}, "EUR"),
        (SOURCE, "dev", {}, "GBP"),
        ('[shop]\ncurrency = "USD"\n' + SOURCE, "dev", {}, "USD"),
        ('[shop]\ncurrency = "USD"\n[profiles.prod.shop]\ncurrency = "CHF"\n' + SOURCE, "dev", {}, "USD"),
        ('[shop]\ncurrency = "USD"\n[profiles.prod.shop]\ncurrency = "CHF"\n' + SOURCE, "prod", {}, "CHF"),
        (
            '[profiles.prod.shop]\ncurrency = "CHF"\n' + SOURCE,
            "prod",
            {"SHOPKEEPER__SHOP__CURRENCY": "SEK"},
            "SEK",
        ),
    ],
    ids=["default", "preset", "file", "other profile", "profile", "environment"],
)
def test_later_wins(read, written, profile, environment, currency):
    """Default, preset, shopkeeper.toml, its profile, environment."""
    assert read(written, profile=profile, **environment).shop.currency == currency


def test_what_is_not_said_again_stays(read):
    """A profile or the file overrides single keys, not the whole table."""
    settings = read('[shop]\nname = "Ours"\n[profiles.prod.publishing]\nkeep = 9\n' + SOURCE, profile="prod")
    assert (settings.shop.name, settings.shop.timezone, settings.publishing.keep) == (
        "Ours",
        "Europe/London",
        9,
    )
    assert settings.line_kinds.codes["postage"] == ("POST", "DOT", "C2")


def test_a_preset_gives_the_tables_and_the_project_changes_keys_of_them(read):
    """One key of a preset's mapping may be overridden."""
    settings = read(SOURCE + '[sources.orders.tables.order_lines]\ndatetime_formats = ["%d.%m.%Y"]\n')
    mapping = settings.sources["orders"].mappings["order_lines"]
    assert (mapping.datetime_formats, mapping.columns["product_id"]) == (("%d.%m.%Y",), ("StockCode",))


@pytest.mark.parametrize(
    ("name", "value", "section", "key", "expected"),
    [
        ("PUBLISHING__KEEP", "2", "publishing", "keep", 2),
        ("OUTLIERS__PRICE_Z", "2.5", "outliers", "price_z", 2.5),
        ("SALES__EXCLUDE_DUPLICATES", "TRUE", "sales", "exclude_duplicates", True),
        ("SALES__EXCLUDE_DUPLICATES", "false", "sales", "exclude_duplicates", False),
        ("SHOP__NAME", "5", "shop", "name", "5"),
    ],
)
def test_the_environment_speaks_text(read, name, value, section, key, expected):
    """Numbers and truth values are read from it."""
    settings = read(OWN, **{f"SHOPKEEPER__{name}": value})
    assert getattr(getattr(settings, section), key) == expected


def test_the_environment_may_change_a_source(read):
    """Any key, by its path; variables of others are none of ours."""
    settings = read(OWN, SHOPKEEPER__SOURCES__ORDERS__PATH="elsewhere", SHOPKEEPER_DATA="x", PATH="y")
    assert settings.sources["orders"].options == {"path": "elsewhere"}


def test_profiles_share_no_folder(read):
    """All state of one is beside that of the other."""
    dev, prod = read(profile="dev"), read(profile="prod")
    for place in ("home", "lake", "warehouse", "published", "scratch"):
        one, other = getattr(dev, place), getattr(prod, place)
        assert one != other
        assert one.is_relative_to(dev.project / "data" / "dev")
        assert other.is_relative_to(dev.project / "data" / "prod")


def test_settings_do_not_change(read):
    """They are read once, frozen and handed down."""
    settings = read()
    with pytest.raises(AttributeError):
        settings.shop.name = "x"
    assert replace(settings.shop, name="x").name == "x"


# ---------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('[shp]\nname = "x"\n' + OWN, ["'shp'", FILE, "Did you mean 'shop'?"]),
        ('[shop]\ncurency = "GBP"\n' + OWN, ["'curency'", "[shop]", "Did you mean 'currency'?"]),
        ("[shop]\nzzz = 1\n" + OWN, ["'zzz'", "[shop]", "Remove it."]),
        ('shop = "x"\n' + OWN, ["[shop]", "table", "'x'"]),
        ('[shop]\ncurrency = "pounds"\n' + OWN, ["shop.currency", "ISO 4217", "'pounds'", "Correct"]),
        ('[shop]\ntimezone = "Mars/Base"\n' + OWN, ["shop.timezone", "IANA", "'Mars/Base'", "Correct"]),
        ("[shop]\nname = 5\n" + OWN, ["shop.name", "a text", "5", "Write it like"]),
        ("[publishing]\nkeep = 0\n" + OWN, ["publishing.keep", "at least 1", "0", "Raise it"]),
        ("[publishing]\nkeep = 2.5\n" + OWN, ["publishing.keep", "a whole number", "2.5"]),
        ("[publishing]\nkeep = true\n" + OWN, ["publishing.keep", "a whole number", "True"]),
        ('[publishing]\nkeep = "many"\n' + OWN, ["publishing.keep", "a whole number", "'many'"]),
        ("[outliers]\nprice_z = nan\n" + OWN, ["outliers.price_z", "a number", "nan"]),
        ("[outliers]\nquantity_fence = -1\n" + OWN, ["outliers.quantity_fence", "at least 0", "-1"]),
        ("[sales]\nexclude_duplicates = 1\n" + OWN, ["sales.exclude_duplicates", "true or false", "1"]),
        ("[sessions]\ngap_minutes = 0\n" + OWN, ["sessions.gap_minutes", "at least 1"]),
        ("[resources]\nthreads = -1\n" + OWN, ["resources.threads", "at least 0"]),
        ("[profiles.test.shop]\n" + OWN, ["'test'", "[profiles]"]),
        ('[profiles.dev]\nshp = "x"\n' + OWN, ["'shp'", "[profiles.dev]", "'shop'"]),
        ("[line_kinds.codes]\nshipping = ['P']\n" + OWN, ["'shipping'", "[line_kinds.codes]", "postage"]),
        (
            "[line_kinds.codes]\npostage = 'POST'\n" + OWN,
            ["line_kinds.codes.postage", "a list of codes", "'POST'"],
        ),
        ("[line_kinds.orders]\ncancellation = ['C']\n" + OWN, ["line_kinds.orders.cancellation", "a text"]),
        ("[line_kinds.kodes]\n" + OWN, ["'kodes'", "'codes'"]),
        ("[sources]\norders = 5\n", ["[sources.orders]", "a table", "5"]),
        ('[sources.orders]\npath = "x"\n', ["[sources.orders]", "neither a preset nor tables", "preset ="]),
        ('[sources.orders]\ntables = "x"\n', ["[sources.orders.tables]", "'x'"]),
        ('[sources.collector]\npath = "x"\n', ["collector", "HTTP", "Rename"]),
        ("[collector]\nkeep_minutes = 10\n" + OWN, ["collector.keep_minutes", "at least 30", "10"]),
        ("[shop\n" + OWN, [FILE, "TOML", "line 1"]),
    ],
)
def test_what_is_wrong_is_told_with_its_place(read, written, words):
    """Every message names the key, the rule, the value and what to do, on one line."""
    with pytest.raises(SettingsError) as refused:
        read(written)
    for word in words:
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SHOPKEEPER__SHOP__CURRENCY", "x", ["shop.currency", "'x'"]),
        ("SHOPKEEPER__SHP__NAME", "x", ["'shp'", "the environment", "'shop'"]),
        ("SHOPKEEPER__SHOP__NAM", "x", ["'nam'", "'name'"]),
        ("SHOPKEEPER__SHOP", "x", ["SHOPKEEPER__SHOP", "a section and a key"]),
        ("SHOPKEEPER__PUBLISHING__KEEP", "x", ["publishing.keep", "'x'"]),
    ],
)
def test_a_wrong_variable_is_told(read, name, value, words):
    """As if it stood in the file."""
    with pytest.raises(SettingsError) as refused:
        read(OWN, **{name: value})
    for word in words:
        assert word in str(refused.value)


def test_an_unknown_preset(read):
    """The message lists them."""
    with pytest.raises(UsageError, match=r"preset must be one of .*uci_online_retail.*; got 'uci'"):
        read(SOURCE.replace("uci_online_retail", "uci"))


def test_an_unknown_profile(read):
    """There are two."""
    with pytest.raises(UsageError, match="profile must be one of dev, prod; got 'test'"):
        read(profile="test")


def test_a_folder_that_is_no_project(tmp_path):
    """The message says how to make one."""
    with pytest.raises(SettingsError, match=r"must hold a shopkeeper.toml; found none .*shopkeeper init"):
        load(tmp_path)


def test_a_file_that_is_no_utf8(tmp_path):
    """The message names the file."""
    (tmp_path / FILE).write_bytes(b'[shop]\nname = "caf\xe9"\n')
    with pytest.raises(SettingsError, match=r"shopkeeper.toml must be TOML in UTF-8"):
        load(tmp_path)


# --------------------------------------------------------------- secrets


def test_secrets_come_from_their_file_and_the_environment_wins(read):
    """By dotted names; the environment goes first."""
    settings = read(
        secrets='[orders]\npassword = "one"\ntoken = "two"\n', SHOPKEEPER__SECRETS__ORDERS__PASSWORD="three"
    )
    assert settings.secrets == {"orders.password": "three", "orders.token": "two"}


def test_secrets_are_never_shown(read):
    """Neither by repr nor by str, nor what a URL carries."""
    settings = read(
        OWN.replace('"in"', '"https://user:hunter1@example.com/a.csv"'),
        secrets='[orders]\npassword = "hunter2"\n',
        SHOPKEEPER__SECRETS__A__B="hunter3",
    )
    assert "hunter" not in f"{settings!r} {settings}"


@pytest.mark.parametrize("secrets", ['[orders]\npassword = "hunter2', 'hunter2 = = "hunter2"', '"hunter2\\u00zz" = 1'])
def test_a_broken_file_of_secrets_does_not_show_them(read, secrets):
    """The place is told, not what stands there."""
    with pytest.raises(SettingsError, match=r"secrets.toml must be TOML") as refused:
        read(secrets=secrets)
    assert "hunter2" not in str(refused.value)


# -------------------------------------------------------------------- init


@pytest.mark.parametrize("preset", [None, *presets.names()])
def test_a_written_project_loads_and_gives_the_defaults(tmp_path, preset):
    """The template is TOML; what it leaves as comments are the defaults it names."""
    written = write_project(tmp_path / "shop", preset=preset, path="export")
    settings = load(written.parent, environment={})
    shop = presets.load(preset)["shop"] if preset else {}
    assert (settings.shop.name, settings.shop.currency) == ("shop", shop.get("currency", "EUR"))
    assert (settings.shop.timezone, settings.shop.country) == (
        shop.get("timezone", "UTC"),
        shop.get("country", ""),
    )
    (source,) = settings.sources.values()
    assert (source.kind, source.options["path"]) == ("files", str(Path("export").resolve()))
    plain = load(_written(tmp_path / "plain", OWN), environment={})
    for section in ("outliers", "sales", "sessions", "publishing", "resources"):
        assert getattr(settings, section) == getattr(plain, section)


def test_the_comments_of_the_template_are_true(tmp_path):
    """Uncommented, the settings it shows are known and hold the defaults."""
    written = write_project(tmp_path, path="export")
    commented = written.read_text("utf-8").partition("# [publishing]")[2].partition("# [profiles")[0]
    shown = tomllib.loads("[publishing]" + commented.replace("\n# ", "\n"))
    assert set(shown) == {"publishing", "outliers", "sales"}
    settings = load(tmp_path, environment={})
    for section, values in shown.items():
        for key, value in values.items():
            assert getattr(getattr(settings, section), key) == value


def _written(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / FILE).write_text(text, "utf-8")
    return folder


@pytest.mark.parametrize("path", ['a "quoted" name.csv', "back\\slash", "ünï {braces}", "https://example.com/a.csv"])
def test_any_path_is_written_as_it_is(tmp_path, path):
    """Quotes, backslashes, braces, URLs."""
    write_project(tmp_path / 'my "shop"', path=path)
    settings = load(tmp_path / 'my "shop"', environment={})
    expected = path if "://" in path else str(Path(path).resolve())
    assert (settings.sources["orders"].options["path"], settings.shop.name) == (expected, 'my "shop"')


def test_init_overwrites_nothing(tmp_path):
    """Neither a project nor the folder's own .gitignore."""
    (tmp_path / ".gitignore").write_text("mine\n")
    write_project(tmp_path, path="export")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(UsageError, match="init must not overwrite a project"):
        write_project(tmp_path, preset="us_retail")
    assert (tmp_path / FILE).read_bytes() == before
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_init_where_no_folder_can_be(tmp_path):
    """A file stands there."""
    (tmp_path / "shop").write_text("")
    with pytest.raises(UsageError, match="the project's folder must be writable"):
        write_project(tmp_path / "shop")


def test_init_with_an_unknown_preset_makes_nothing(tmp_path):
    """Not even the folder."""
    with pytest.raises(UsageError, match="got 'nope'"):
        write_project(tmp_path / "shop", preset="nope")
    assert not (tmp_path / "shop").exists()


def test_every_preset_describes_itself():
    """In one sentence."""
    described = describe_presets()
    assert set(described) == set(presets.names()) >= {"uci_online_retail", "rees46_events"}
    assert all(described.values())
