"""What breaks the ledger or a rule fails the build, says where, and leaves what is published as it was."""

import duckdb
import pytest

from shopkeeper import workflow
from shopkeeper.errors import BuildError, UsageError

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
FIRST = HEADER + "1,22,Mug,2,2020-01-01 10:00:00,1.50,ann,UK\n1,23,Pot,1,2020-01-01 10:00:00,10,ann,UK\n"
SECOND = HEADER + "2,22,Mug,1,2020-01-02 10:00:00,1.50,bob,UK\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory, make_shop, run_shop):
    """A shop that has published one version and holds a second file."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "sent").mkdir()
    (folder / "sent" / "a.csv").write_text(FIRST)
    parts = make_shop(folder / "shop", "uci_online_retail", folder / "sent")
    run_shop(parts)
    (folder / "sent" / "b.csv").write_text(SECOND)
    return parts


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (
            "delete from core.order_lines where product_id = '23'",
            r"ledger: 'rows loaded = order lines of the warehouse' does not balance for \S+: expected 2.0000, got 1.0000",
        ),
        (
            "update core.order_lines set net_amount = net_amount - 0.0001 where product_id = '23'",
            r"order_lines: 'net_amount = gross_amount - discount_amount' does not hold for 1 rows",
        ),
    ],
)
def test_harm_is_found(shop, harm, said):
    """A row that vanished, or a ten-thousandth of a pound: named with both sides; mended by a full refresh."""
    with duckdb.connect(str(shop.settings.warehouse)) as connection:
        connection.execute(harm)
    before = shop.published.current()
    workflow.ingest(shop.lake, shop.sources)
    with pytest.raises(BuildError, match=said):
        workflow.build(shop.lake, shop.warehouse, select="order_lines+")
    with pytest.raises(UsageError, match="a build must have ended well"):
        workflow.publish(shop.warehouse, shop.published)
    assert shop.published.current() == before
    assert shop.serving.query("select count(*) from order_lines").rows[0][0] == 2
    assert workflow.build(shop.lake, shop.warehouse, full_refresh=True).was_full
    assert shop.warehouse.state().build_id is not None


def test_after_a_selection_everything_is_built(shop):
    """A build of some tables leaves it open what the others hold: the next one builds them all, and then nothing is new."""
    workflow.build(shop.lake, shop.warehouse, select="products")
    assert shop.warehouse.state().build_id is None
    whole = workflow.build(shop.lake, shop.warehouse)
    assert {"orders", "sessions", "daily_sales", "ledger"} <= whole.models.keys()
    assert not whole.was_full
    assert workflow.build(shop.lake, shop.warehouse).models == {}
