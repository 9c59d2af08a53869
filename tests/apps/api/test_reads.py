"""Reads over HTTP: what is stored, what is listed, and what comes of ids that are anything but plain."""

from urllib.parse import quote

import pytest

from shopkeeper.serving import customer_dossier, product_dossier


def test_a_customer_of_any_id_is_found(served, odd_ids):
    """Whatever letters an id is made of, percent-encoded it leads to its own customer, and to no file or table."""
    for customer in odd_ids:
        answer = served.get(f"/v1/customers/{quote(customer, safe='')}")
        assert answer.status_code == 200, customer
        told = answer.json()
        assert told["customer_id"] == customer
        assert told["churn"]["churn_probability"] == 0.25
        # No number stands where there is none.
        assert told["churn"]["value_at_risk"] is None
        assert told["label"] is None
        listed = served.get("/v1/customers", params={"customer_id": customer}).json()["data"]
        assert [row["customer_id"] for row in listed] == [customer]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/customers/nobody", 404),
        ("/v1/customers/c1%00", 404),
        ("/v1/customers/%ff", 404),
        ("/v1/customers/..%2F..%2Fetc%2Fshadow", 404),
        ("/v1/customers/' or '1'='1", 404),
        (f"/v1/customers/{'y' * 1001}", 404),
        ("/v1/products/Z9", 404),
        ("/v1/metrics/secrets", 404),
        ("/v1/metrics/daily_sales;drop", 404),
        ("/v1/metrics/core.customers", 404),
        ("/v1/nothing", 404),
        ("/v1/customers/", 404),
        ("/", 404),
        ("/v1/customers?limit=0", 422),
        ("/v1/customers?limit=ten", 422),
        ("/v1/customers?limit=1&limit=2", 422),
        ("/v1/customers?cursor=nonsense", 422),
        ("/v1/customers?cursor=%ff", 400),
        ("/v1/customers?net_sales.gte=much", 422),
        ("/v1/customers?net_sales.like=1", 422),
        ("/v1/customers?has_profile=true", 422),
        ("/v1/customers?1=1%3Bdrop", 422),
        ("/v1/rules?antecedent=A1", 422),
        ("/v1/rules?rank.has=1", 422),
        ("/v1/metrics/daily_sales?day=yesterday", 422),
        ("/v1/recommendations?n=0", 422),
        ("/v1/recommendations?m=1", 422),
        ("/v1/recommendations/products/A1?margin_floor=2", 422),
        ("/v1/recommendations/products/A1?margin_floor=nan", 422),
        ("/v1/models?verbose=1", 422),
        ("/v1/customers?" + "&".join(f"a{n}=1" for n in range(101)), 400),
    ],
)
def test_what_cannot_be_asked_is_told(served, error_of, path, status):
    """One shape of error, with a sentence that says what to do; nothing of it is unforeseen."""
    answer = served.get(path)
    assert answer.status_code == status
    assert error_of(answer)["code"] != "unforeseen"


def test_api_and_command_line_say_the_same(served):
    """Each section of a dossier has the same numbers in the API as in `shopkeeper explain`."""
    published = served.application.editions.published
    for kind, dossier in (
        ("customers", customer_dossier(published, "c1")),
        ("products", product_dossier(published, "A1")),
    ):
        told = served.get(f"/v1/{kind}/{dossier.id}").json()
        for section in dossier.sections:
            name = section.title.replace(":", "").replace(" ", "_")
            rows = [
                {key: value.isoformat() if hasattr(value, "isoformat") else value for key, value in row.items()}
                for row in section.plain()
            ]
            mine = [told[name]] if section.form == "facts" else told[name]
            assert len(mine) == len(rows)
            for one, other in zip(mine, rows, strict=True):
                assert {key: value for key, value in one.items() if value is not None} == {
                    key: float(value) if hasattr(value, "as_tuple") else value
                    for key, value in other.items()
                    if value is not None and value == value  # noqa: PLR0124 - NaN is not itself
                }


def test_pages_meet_without_gap_or_overlap(served):
    """Page by page, all rows come once, in the order of the key, and the filter holds on every page."""
    whole = served.get("/v1/metrics/daily_sales", params={"limit": 1000, "dimension": "country"}).json()["data"]
    assert len(whole) == 166
    found, cursor, n_pages = [], None, 0
    while True:
        asked = {"limit": 40, "dimension": "country", **({"cursor": cursor} if cursor else {})}
        told = served.get("/v1/metrics/daily_sales", params=asked).json()
        found += told["data"]
        cursor, n_pages = told["next_cursor"], n_pages + 1
        if cursor is None:
            break
    assert (n_pages, found) == (5, whole)
    assert [(row["day"], row["member"]) for row in whole] == sorted((row["day"], row["member"]) for row in whole)


def test_a_cursor_comes_with_its_filters(served):
    """A cursor given for other filters, or for another listing, is refused."""
    cursor = served.get("/v1/metrics/daily_sales", params={"limit": 1}).json()["next_cursor"]
    for path, more in (("daily_sales", {"dimension": "all"}), ("ledger", {})):
        answer = served.get(f"/v1/metrics/{path}", params={"cursor": cursor, **more})
        assert answer.status_code in {404, 422}


@pytest.mark.parametrize(
    ("asked", "n"),
    [
        ({}, 250),
        ({"day": "2024-01-02"}, 9),
        ({"day.gte": "2024-01-29", "day.lte": "2024-01-30"}, 16),
        ({"dimension.in": "all,store", "n_orders.lte": "2"}, 1),
        ({"member.in": "m1,m2,' or 1=1"}, 2),
        ({"member": "' or '1'='1"}, 0),
        ({"net_sales": "1.0000"}, 250),
    ],
)
def test_filters_leave_the_rows_they_say(served, asked, n):
    """Equal, from, up to, one of: bound values, never SQL."""
    assert len(served.get("/v1/metrics/daily_sales", params={**asked, "limit": 1000}).json()["data"]) == n


def test_listings_of_predictions(served):
    """Rules by antecedent, forecasts by level and key, segments with their definitions, customers by what they may do."""
    assert [row["rule"] for row in served.get("/v1/rules?antecedent.has=A1").json()["data"]] == ["A → B"]
    assert served.get("/v1/rules?antecedent.has=B2").json() == {"data": [], "next_cursor": None}
    (week,) = served.get("/v1/forecasts?level=product&series=A1&frequency=weekly").json()["data"]
    assert (week["day"], week["units_high"]) == ("2024-03-01", 9)
    (segment,) = served.get("/v1/segments").json()["data"]
    assert segment["rule_words"] == "everybody"
    found = served.get("/v1/customers?churn_probability.gte=.2&country=France&limit=3").json()
    assert [row["country"] for row in found["data"]] == ["France"] * 3
    assert {each["name"] for each in served.get("/v1/metrics").json()["data"]} == {"daily_sales"}


def test_recommendations_by_exclusion_stock_and_margin(served):
    """A list is looked through by the caller's rules and filled up from what is popular; a stranger gets what is popular."""

    def products(path):
        return [each["product_id"] for each in served.get(path).json()["recommendations"]]

    customers = "/v1/recommendations/customers"
    assert products(f"{customers}/c1") == ["A1", "B2"]
    assert products(f"{customers}/c1?without=a1") == ["B2"]
    assert products(f"{customers}/c1?in_stock_only=true") == ["B2"]
    assert products(f"{customers}/c1?margin_floor=.5") == ["B2"]
    assert products(f"{customers}/c1?n=1") == ["A1"]
    for stranger in ("c3", "nobody", "%F0%9F%9B%92x"):
        told = served.get(f"{customers}/{stranger}").json()
        assert not told["is_known"]
        assert [each["product_id"] for each in told["recommendations"]] == ["B2", "A1"]
    assert products(f"{customers}/nobody?country=France") == ["A1", "B2"]
    assert products("/v1/recommendations?country=France&n=1") == ["A1"]
    assert products("/v1/recommendations?country=Atlantis") == ["B2", "A1"]
    beside = served.get("/v1/recommendations/products/a1").json()
    assert beside["is_known"]
    assert [each["product_id"] for each in beside["together"]] == ["B2"]
    assert not served.get("/v1/recommendations/products/none").json()["is_known"]


def test_what_is_known_already_is_not_sent_again(served):
    """An answer carries its version; with If-None-Match it comes without a body, and HEAD never has one."""
    for path in ("/v1/customers/c1", "/v1/customers?limit=1", "/v1/products/A1", "/v1/recommendations", "/v1/version"):
        answer = served.get(path)
        assert answer.headers["x-shopkeeper-version"] == "1"
        tag = answer.headers["etag"]
        assert tag.startswith('"v1-')
        for given in (tag, f'"other", W/{tag}', "*"):
            again = served.get(path, headers={"If-None-Match": given})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert served.get(path, headers={"If-None-Match": '"v0-x"'}).status_code == 200
        head = served.head(path)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(answer.content)))


def test_the_server_tells_of_itself(served):
    """Alive, ready, and measures that name endpoints and never an id."""
    assert served.get("/healthz").json() == {"status": "alive"}
    assert served.get("/readyz").json() == {"status": "ready", "version": 1}
    served.get("/v1/customers/somebody-private")
    text = served.get("/metrics").text
    assert 'shopkeeper_requests_total{endpoint="/v1/customers/{customer_id}",method="GET",status="404"}' in text
    assert "shopkeeper_version 1.0" in text
    assert "somebody-private" not in text
    assert "openapi.json" in served.get("/v1/docs").text


def test_before_a_version_is_published(make_project, serving, error_of):
    """Not ready, with the reason; what needs a version says so; health is as ever."""
    with serving(make_project()) as client:
        assert client.get("/healthz").status_code == 200
        for path in ("/readyz", "/v1/customers/c1", "/v1/metrics", "/v1/recommendations", "/v1/models", "/v1/version"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert "shopkeeper run" in error_of(answer)["message"]
            assert "x-shopkeeper-version" not in answer.headers
        assert client.get("/v1/openapi.json").status_code == 200
