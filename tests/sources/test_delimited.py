"""Delimited text, whole and damaged."""

import csv
import io
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shopkeeper.errors import ContractError, SettingsError
from shopkeeper.sources.records import Dialect, take_census
from shopkeeper.sources.sieve import sift

HEAD = b"order,sku,qty,price,at\n"
GOOD = b"o1,s1,1,1,2020-01-01\n"
FAST = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rules(found) -> list[tuple[int, str]]:
    return [(reject["source_row"], reject["rule"]) for reject in found.rejects]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(read, delimiter):
    """The one that gives the mapped columns."""
    found = read((HEAD + GOOD).replace(b",", delimiter.encode()))
    assert found.column("product_id") == ["s1"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_each_line_end_is_read(read, end):
    """LF, CR LF and a lone CR end a line; rows are numbered as a spreadsheet shows them."""
    found = read((HEAD + GOOD + GOOD).replace(b"\n", end))
    assert found.column("source_row") == [2, 3]


def test_mixed_line_ends_and_blank_lines(read):
    """Each line counts by itself and blank ones not at all."""
    found = read(b"\n" + HEAD + b"\r\n" + GOOD[:-1] + b"\r\n\n" + GOOD[:-1] + b"\r" + GOOD[:-1])
    assert found.column("source_row") == [2, 3, 4]
    assert found.column("order_id") == ["o1", "o1", "o1"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "windows-1252", "latin-1"]
)
def test_common_encodings_are_found(read, encoding):
    """With a mark or without."""
    found = read((HEAD.decode() + "o1,café,1,1,2020-01-01\n").encode(encoding))
    assert found.column("product_id") == ["café"]


def test_a_declared_encoding_goes_first(read):
    """Bytes that would be read as Windows-1252 are Greek if the mapping says so."""
    content = HEAD + "o1,γάτα,1,1,2020-01-01\n".encode("iso8859-7")
    assert read(content, encoding="iso8859-7").column("product_id") == ["γάτα"]
    with pytest.raises(SettingsError, match="encoding must be one that Python knows"):
        read(content, encoding="klingon")


def test_invalid_bytes_cost_their_line_only(read):
    """A file with valid UTF-8 elsewhere is UTF-8."""
    found = read(HEAD + "o1,café,1,1,2020-01-01\n".encode() + b"o2,\xff\xfe,1,1,2020-01-01\n" + GOOD)
    assert found.column("source_row") == [2, 4]
    assert rules(found) == [(3, "a line must be valid UTF-8; got the byte 0xff")]


def test_an_unterminated_quote_costs_its_line_only(read):
    """The lines after it do not vanish."""
    found = read(HEAD + GOOD + b'o2,"s,1,1,2020-01-01\n' + GOOD + b'o4,"a ""b""\nc",1,1,2020-01-01\n' + GOOD)
    assert found.column("source_row") == [2, 4, 5, 6]
    assert found.column("product_id")[2] == 'a "b"\nc'
    assert rules(found) == [(3, "a quoted field must be closed by a quote and then a delimiter (unterminated quote)")]
    assert found.rejects[0]["raw_text"] == 'o2,"s,1,1,2020-01-01'


def test_too_few_and_too_many_fields_are_rejected(read):
    """A line cut in the middle at the file's end says so; a delimiter too many at a line's end is none."""
    found = read(HEAD + b"a,b\n" + GOOD + b"o,s,1,1,2020-01-01,x\no,s,1,1,2020-01-01,\no9,s9")
    assert found.column("source_row") == [3, 5]
    assert rules(found) == [
        (2, "a line must have 5 fields; got 2"),
        (4, "a line must have 5 fields; got 6"),
        (6, "a line must have 5 fields; got 2 (the file's last line, which may have been cut off)"),
    ]


def test_a_quote_inside_of_a_field_is_a_character(read):
    """Inches are no quotes, on one line or on many."""
    found = read(HEAD + b'o,1/2" pipe,1,1,2020-01-01\no,"2"" pipe",1,1,2020-01-01\no,5" x 7",1,1,2020-01-01\n')
    assert found.column("product_id") == ['1/2" pipe', '2" pipe', '5" x 7"']


def test_a_long_line_is_rejected_in_bounded_memory(tmp_path):
    """Its first characters are kept, and the lines around it are read."""
    path = tmp_path / "long.csv"
    path.write_bytes(b"a,b\n" + b"x" * 300_000 + b",1\r\n" + b"c,d\n")
    dialect = Dialect(",", 2, longest=50_000)
    pieces = list(sift(path, dialect, block=20_000))
    assert b"".join(piece.clean for piece in pieces) == b"a,b\nc,d\n"
    (reject,) = [reject for piece in pieces for reject in piece.rejects]
    assert (reject.source_row, reject.raw_text[9_999:]) == (2, "x… [cut after 10000 characters; 300002 bytes]")
    assert reject.rule == "a record must be no longer than 50000 bytes; this one has 300002"
    assert take_census(path, dialect, chunk=20_000).records == 3


@pytest.mark.slow
def test_a_line_of_300_megabytes(read):
    """The real size."""
    found = read(HEAD + GOOD + b"x" * 300_000_000 + b"\n" + GOOD)
    assert found.column("source_row") == [2, 4]
    assert len(found.rejects[0]["raw_text"]) < 10_100


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a file must have a header; got 0 bytes"),
        (b"\n\n", "a file must have a header; got only blank lines"),
        (b"order,sku,quantity,price,at\n", "column 'qty' .* Is it 'quantity' now"),
        (b"order,sku,qty,price,price,at\n", "column names must differ .* got 'price' 2 times"),
    ],
)
def test_a_header_that_does_not_fit_is_told(read, content, message):
    """What is wrong, and what to do."""
    with pytest.raises(ContractError, match=message):
        read(content)


def test_a_wrong_delimiter_is_told_with_the_right_one(read):
    """The declared one wins, and must be right."""
    with pytest.raises(ContractError, match="Set delimiter = ','"):
        read(HEAD + GOOD, delimiter=";")
    with pytest.raises(SettingsError, match="one ASCII character"):
        read(HEAD + GOOD, delimiter="||")


def test_a_header_alone_has_no_rows(read):
    """Which is worth a note, and no error."""
    found = read(HEAD)
    assert (found.rows_read, found.notes) == (0, ["lines.csv has a header and no rows"])


def test_names_that_look_like_sql_or_patterns_are_names(read):
    """In a column and in a file."""
    nasty = 'x\'); drop table "y"; --'
    found = read(
        b'id,"' + nasty.replace('"', '""').encode() + b'"\ns1,red\n',
        name="a[1]*'b.csv",
        entity="stores",
        columns={"store_id": "id", "name": nasty},
    )
    assert found.rows[0]["name"] == "red"


def test_what_came_before_the_damage_is_not_read_twice(read, monkeypatch):
    """The sieve takes over where the fast way stopped, batches later."""
    monkeypatch.setattr("shopkeeper.sources.conformity.BATCH_ROWS", 2048)
    body = b"".join(b"o%d,s,1,1,2020-01-01\n" % number for number in range(7_000))
    found = read(HEAD + body + b"cut,off")
    assert found.column("source_row") == list(range(2, 7_002))
    assert [row for row, _ in rules(found)] == [7_002]


FIELDS = st.text(st.sampled_from('ab"\n\r,; é\0'), max_size=6)


@FAST
@given(st.lists(st.tuples(FIELDS, FIELDS, FIELDS), min_size=1, max_size=6))
def test_what_csv_writes_comes_back(read, records):
    """Quotes, delimiters and line ends inside of fields survive."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "name", "city"), *(("k" + a, b, c) for a, b, c in records)])
    found = read(
        text.getvalue().encode(),
        entity="stores",
        columns={"store_id": "id", "name": "name", "city": "city"},
        encoding="utf-8",
    )
    assert [(row["store_id"], row["name"], row["city"]) for row in found.rows] == [
        ("k" + a, b or None, c or None) for a, b, c in records
    ]


CLEAN = HEAD + b"".join(
    (b'o%d,"s, %d",1,1.5,2020-01-01\n' if number % 3 else b"o%d,s%d,2,2,2020-01-02\n") % (number, number)
    for number in range(12)
)
EDITS = st.lists(
    st.tuples(
        st.integers(len(HEAD), len(CLEAN)),
        st.sampled_from([b"", b'"', b'""', b"\n", b"\r", b"\r\n", b",", b'",', b',"', b"\xff", b"\xc3\xa9", b"\0"]),
        st.integers(0, 6),
    ),
    max_size=5,
)


def corrupt(edits: list[tuple[int, bytes, int]]) -> bytes:
    content = CLEAN
    for place, inserted, removed in sorted(edits, reverse=True):
        content = content[:place] + inserted + content[place + removed :]
    return content


@FAST
@given(EDITS)
def test_no_damage_loses_a_record(read, edits):
    """Rows and rejects are as many as the census counts, each with a number of its own (the fixture checks
    the sum).
    """
    found = read(corrupt(edits))
    numbers = Counter(row["source_row"] for row in (*found.rows, *found.rejects))
    assert sorted(numbers) == list(range(2, found.rows_read + 2))


@FAST
@given(EDITS, st.integers(20, 90), st.integers(40, 120))
def test_the_sieve_does_not_depend_on_where_blocks_end(tmp_path, edits, block, longest):
    """Small blocks give what one large one gives, and as many records as the census, whatever its chunks."""
    path = tmp_path / "damaged.csv"
    path.write_bytes(corrupt(edits))
    dialect = Dialect(",", 5, longest)

    def sifted(size: int) -> tuple[bytes, list[int], list[tuple[int, str]]]:
        pieces = list(sift(path, dialect, block=size))
        return (
            b"".join(piece.clean for piece in pieces),
            [int(number) for piece in pieces for number in piece.numbers],
            [(reject.source_row, reject.rule.split(";")[0]) for piece in pieces for reject in piece.rejects],
        )

    clean, numbers, rejects = sifted(100_000)
    small = sifted(block)
    assert (small[0], small[1], [row for row, _ in small[2]]) == (clean, numbers, [row for row, _ in rejects])
    for chunk in (7, block, 100_000):
        assert take_census(path, dialect, chunk=chunk).records == len(numbers) + len(rejects)
