"""Reads: customers, products, recommendations, forecasts, rules, segments, metrics."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import orjson

from shopkeeper import vocabulary as v
from shopkeeper.apps.api import schemas
from shopkeeper.apps.api.bodies import BodyLimits, is_whole, read_json
from shopkeeper.apps.api.endpoint import Ask, Endpoint, Parameter, Reply, read, told
from shopkeeper.apps.api.errors import RefusalError
from shopkeeper.apps.api.work import Bench
from shopkeeper.serving import listings, offers
from shopkeeper.serving.contract import FILTERABLE, OFFER
from shopkeeper.serving.editions import Edition

READERS = frozenset({v.AGGREGATES})
OF_CUSTOMERS = frozenset({v.CUSTOMERS})
FOR_LISTS = frozenset({v.AGGREGATES, v.CUSTOMERS})
MOST_IN_BASKET = 1_000
BASKET = {"products", "n", "country", "without", "in_stock_only", "margin_floor"}

LIMIT = Parameter(
    "limit", {"type": "integer", "minimum": 1, "maximum": listings.MOST, "default": 100}, "rows of a page"
)
CURSOR = Parameter("cursor", {"type": "string"}, "next_cursor of the page before; holds within one published version")
SHOWN = Parameter(
    "n", {"type": "integer", "minimum": 1, "maximum": offers.MOST_SHOWN, "default": 20}, "how many products at most"
)
WITHOUT = Parameter("without", {"type": "string"}, "products not to be shown, parted by commas")
IN_STOCK = Parameter(
    "in_stock_only", {"type": "boolean", "default": False}, "leave out what is known to be out of stock"
)
MARGIN = Parameter(
    "margin_floor",
    {"type": "number", "minimum": 0, "maximum": 1},
    "leave out what is known to earn a smaller share of its price",
)
COUNTRY = Parameter("country", {"type": "string"}, "what is popular there, where nothing better is known")
SEGMENT = Parameter("segment", {"type": "string"}, "what is popular in a segment, by its name")
RULES_OF_LISTS = (SHOWN, WITHOUT, IN_STOCK, MARGIN)
FILTERS = (
    "Every column is a filter: `column=value`, `column.gte=`, `column.lte=`, `column.in=` (values parted by commas), and of "
    "lists `column.has=`."
)
Chosen: TypeAlias = tuple[Callable[[Edition], listings.Listing], str]
Choose: TypeAlias = Callable[[Ask], Chosen]
_OFFERS = schemas.listed(schemas.of_types(dict(pair.split(":") for pair in OFFER.split())))


class Reads:
    """The endpoints that read a published version."""

    def __init__(self, bench: Bench, limits: BodyLimits, masking_secret: Callable[[], str]) -> None:
        """``masking_secret``: gives what ids are masked with, for keys that may not see them."""
        self._bench = bench
        self._limits = limits
        self._masking_secret = masking_secret

    def endpoints(self) -> list[Endpoint]:
        """Return them all."""
        return [*self._of_customers(), *self._of_products(), *self._of_lists(), *self._of_tables()]

    # ------------------------------------------------------------- declarations

    def _of_customers(self) -> list[Endpoint]:
        return [
            self._listing(
                "/v1/customers",
                "Customers by filter: country, segment, chance to stay away, value.",
                FOR_LISTS,
                FILTERABLE["customers"],
                self._customers,
                details="A key without the scope customers is shown masked ids, and no city.",
                optional=("city",),
            ),
            Endpoint(
                "GET",
                "/v1/customers/{customer_id}",
                "All that is known of a customer, and what is advised.",
                self.customer,
                OF_CUSTOMERS,
                schemas.DOSSIER_OF_CUSTOMER,
                refusals={404: "no customer of that id is known"},
                is_quick=True,
            ),
            Endpoint(
                "GET",
                "/v1/recommendations/customers/{customer_id}",
                "What to show to a customer; to one that is not known, what is popular.",
                self.recommendations_of_customer,
                OF_CUSTOMERS,
                schemas.whole(
                    {"customer_id": schemas.TEXT, "is_known": {"type": "boolean"}, "recommendations": _OFFERS}
                ),
                parameters=(*RULES_OF_LISTS, COUNTRY),
                is_quick=True,
            ),
        ]

    def _of_products(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET",
                "/v1/products/{product_id}",
                "All that is known of a product, and what is advised.",
                self.product,
                READERS,
                schemas.DOSSIER_OF_PRODUCT,
                refusals={404: "no product of that code is known"},
                is_quick=True,
            ),
            Endpoint(
                "GET",
                "/v1/recommendations/products/{product_id}",
                "What to show beside a product: often bought with it, and in its place.",
                self.recommendations_of_product,
                READERS,
                schemas.whole(
                    {
                        "product_id": schemas.TEXT,
                        "is_known": {"type": "boolean"},
                        "together": _OFFERS,
                        "instead": _OFFERS,
                    }
                ),
                parameters=RULES_OF_LISTS,
                is_quick=True,
            ),
        ]

    def _of_lists(self) -> list[Endpoint]:
        texts = {"type": "array", "items": {"type": "string", "maxLength": 1000}, "maxItems": MOST_IN_BASKET}
        return [
            Endpoint(
                "GET",
                "/v1/recommendations",
                "What to show to somebody of whom nothing is known, but perhaps the country or the segment.",
                self.recommendations,
                READERS,
                schemas.whole({"scope": schemas.TEXT, "recommendations": _OFFERS}),
                parameters=(*RULES_OF_LISTS, COUNTRY, SEGMENT),
                is_quick=True,
            ),
            Endpoint(
                "POST",
                "/v1/recommendations/basket",
                "What goes with a basket; with an empty one, or one of unknown products, what is popular.",
                self.for_basket,
                READERS,
                schemas.whole({"recommendations": _OFFERS, "unknown_products": schemas.listed(schemas.TEXT)}),
                body=schemas.whole(
                    {
                        "products": {**texts, "description": "codes of the products in the basket"},
                        "n": SHOWN.schema,
                        "country": schemas.TYPES["text"],
                        "without": texts,
                        "in_stock_only": {"type": "boolean"},
                        "margin_floor": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
                    },
                    optional=("n", "country", "without", "in_stock_only", "margin_floor"),
                ),
                refusals={404: "no recommender is published"},
            ),
        ]

    def _of_tables(self) -> list[Endpoint]:
        return [
            self._listing(
                "/v1/forecasts",
                "Expected demand by level (total, country, store, category, product) and key.",
                READERS,
                FILTERABLE["forecasts"],
                _always(listings.FORECASTS),
                details="`level=product&series=CODE&frequency=weekly` gives one product's weeks.",
            ),
            self._listing(
                "/v1/rules",
                "Rules of baskets: who buys this buys that.",
                READERS,
                FILTERABLE["rules"],
                _always(listings.RULES),
                details="`antecedent.has=CODE` gives the rules that begin with a product.",
            ),
            self._listing(
                "/v1/segments",
                "Segments with their definitions, sizes and expected shares.",
                READERS,
                FILTERABLE["segments"],
                _always(listings.SEGMENTS),
            ),
            Endpoint(
                "GET",
                "/v1/metrics",
                "The metric marts with their columns.",
                self.metrics,
                READERS,
                schemas.whole(
                    {
                        "data": schemas.listed(
                            schemas.whole(
                                {
                                    "name": schemas.TEXT,
                                    "key": schemas.listed(schemas.TEXT),
                                    "columns": {"type": "object", "additionalProperties": schemas.TEXT},
                                }
                            )
                        )
                    }
                ),
            ),
            self._listing(
                "/v1/metrics/{mart}",
                "Rows of a metric mart by filter.",
                READERS,
                None,
                _metric,
                refusals={404: "no mart of that name is published"},
            ),
        ]

    def _listing(
        self,
        path: str,
        about: str,
        scopes: frozenset[str],
        types: Mapping[str, str] | None,
        choose: Choose,
        *,
        details: str = "",
        optional: tuple[str, ...] = (),
        refusals: Mapping[int, str] | None = None,
    ) -> Endpoint:
        parameters = (LIMIT, CURSOR)

        async def handle(ask: Ask) -> Reply:
            found, filters = read(ask, parameters, takes_filters=True)
            edition = ask.published
            limit, cursor = found.get("limit", 100), found.get("cursor")
            listing, variant = choose(ask)
            page = await self._bench.do(
                lambda: listings.page(edition, listing(edition), filters, limit=limit, cursor=cursor)
            )
            return told({"data": page.rows, "next_cursor": page.cursor}, variant=variant)

        return Endpoint(
            "GET",
            path,
            about,
            handle,
            scopes,
            schemas.page_of(types, optional),
            parameters=parameters,
            takes_filters=True,
            refusals={410: "the cursor is of another published version", **(refusals or {})},
            details=f"{FILTERS} {details}".strip(),
        )

    def _customers(self, ask: Ask) -> Chosen:
        if v.CUSTOMERS in ask.caller.scopes:
            return lambda edition: listings.customers(edition, None), ""
        secret = self._masking_secret()
        return lambda edition: listings.customers(edition, secret), "masked"

    # ------------------------------------------------------------------ answers

    async def customer(self, ask: Ask) -> Reply:
        """Answer with a customer's dossier, as it is stored."""
        found = ask.published.book.answer("customers", ask.id)
        if found is None:
            raise _unknown("customer", ask.id)
        return Reply(found)

    async def product(self, ask: Ask) -> Reply:
        """Answer with a product's dossier, as it is stored."""
        found = _of_product(ask.published, "products", ask.id)
        if found is None:
            raise _unknown("product", ask.id)
        return Reply(found)

    async def recommendations_of_customer(self, ask: Ask) -> Reply:
        """Answer with a customer's list, as it is stored; looked through where exclusions or rules are asked."""
        edition = ask.published
        own = edition.book.answer("customer_recommendations", ask.id)
        head = b'{"customer_id":' + orjson.dumps(ask.id) + b',"is_known":' + (b"true" if own else b"false")
        if not ask.scope["query_string"]:
            return Reply(head + b',"recommendations":' + (own or offers.popular(edition)) + b"}")
        found, wish = _wished(ask, (*RULES_OF_LISTS, COUNTRY))
        lists = [own, offers.popular_in(edition, "country", found.get("country")), offers.popular(edition)]
        shown = await self._bench.do(lambda: offers.chosen(edition, lists, wish))
        return Reply(head + b',"recommendations":' + orjson.dumps(shown) + b"}")

    async def recommendations_of_product(self, ask: Ask) -> Reply:
        """Answer with the lists beside a product."""
        edition = ask.published
        _, wish = _wished(ask, RULES_OF_LISTS)
        lists = [_of_product(edition, "lists", ask.id, f"{kind}:") for kind in ("together", "instead")]
        is_known = any(lists) or _of_product(edition, "products", ask.id) is not None
        together, instead = await self._bench.do(lambda: [offers.chosen(edition, [each], wish) for each in lists])
        return told({"product_id": ask.id, "is_known": is_known, "together": together, "instead": instead})

    async def recommendations(self, ask: Ask) -> Reply:
        """Answer with what is popular."""
        edition = ask.published
        found, wish = _wished(ask, (*RULES_OF_LISTS, COUNTRY, SEGMENT))
        known = {
            f"{kind}:{found.get(kind)}": offers.popular_in(edition, kind, found.get(kind))
            for kind in ("segment", "country")
        }
        scope = next((name for name, each in known.items() if each), "everybody")
        lists = [*known.values(), offers.popular(edition)]
        shown = await self._bench.do(lambda: offers.chosen(edition, lists, wish))
        return told({"scope": scope, "recommendations": shown})

    async def for_basket(self, ask: Ask) -> Reply:
        """Answer with what goes with the basket in the body."""
        body = await read_json(ask, self._limits)
        edition = ask.published
        products, country, wish = _basket(body)
        return told(await self._bench.do(lambda: offers.for_basket(edition, products, country, wish)))

    async def metrics(self, ask: Ask) -> Reply:
        """Answer with the marts of the version."""
        edition = ask.published

        def read() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            for name, key in listings.METRICS.items():
                listing = listings.metric(name)
                if listing is not None and listings.has_table(edition, v.METRICS, name):
                    columns = {column: kind.lower() for column, kind in listings.columns(edition, listing).items()}
                    found.append({"name": name, "key": key, "columns": columns})
            return found

        return told({"data": await self._bench.do(read)})


def _always(listing: listings.Listing) -> Choose:
    return lambda _ask: (lambda _edition: listing, "")


def _metric(ask: Ask) -> Chosen:
    found = listings.metric(ask.id)
    if found is None or not listings.has_table(ask.published, v.METRICS, ask.id):
        raise RefusalError(
            404,
            "no_such_mart",
            f"a mart must be one of {', '.join(listings.METRICS)}; got {ask.id[:100]!r}. Correct it.",
        )
    return lambda _edition: found, ""


def _unknown(kind: str, key: str) -> RefusalError:
    return RefusalError(
        404,
        f"unknown_{kind}",
        f"a {kind} must be one that the published version knows; got {key[:100]!r}. Correct it.",
    )


def _of_product(edition: Edition, kind: str, code: str, before: str = "") -> bytes | None:
    """Return a product's answer by its code as it is written, or in capitals, as the warehouse writes most."""
    return edition.book.answer(kind, before + code) or edition.book.answer(kind, before + code.strip().upper())


def _wished(ask: Ask, parameters: tuple[Parameter, ...]) -> tuple[dict[str, Any], offers.Wish]:
    found, _ = read(ask, parameters)
    without = frozenset(each.strip().upper() for each in found.get("without", "").split(",") if each.strip())
    return found, offers.Wish(
        found.get("n", 20), without, found.get("in_stock_only", False), found.get("margin_floor") or None
    )


def _basket(body: Any) -> tuple[list[str], str | None, offers.Wish]:
    """Return a basket's products, the country and the wish. Raises RefusalError, 422, that names each field that is wrong."""
    if not isinstance(body, dict):
        raise _wrong([("body", "must be an object")])
    wrong = [(str(name)[:100], "is unknown; leave it out") for name in body if name not in BASKET]
    products, without = body.get("products"), body.get("without", [])
    for name, codes in (("products", products), ("without", without)):
        if not (isinstance(codes, list) and len(codes) <= MOST_IN_BASKET and all(_is_code(each) for each in codes)):
            wrong.append((name, f"must be a list of at most {MOST_IN_BASKET:,} codes, which are texts"))
    n, floor, country = body.get("n", 20), body.get("margin_floor"), body.get("country")
    if not is_whole(n) or not 1 <= n <= offers.MOST_SHOWN:
        wrong.append(("n", f"must be a whole number from 1 to {offers.MOST_SHOWN}"))
    if floor is not None and (not isinstance(floor, int | float) or isinstance(floor, bool) or not 0 <= floor <= 1):
        wrong.append(("margin_floor", "must be a share from 0 to 1, or null"))
    if country is not None and not isinstance(country, str):
        wrong.append(("country", "must be a text or null"))
    if not isinstance(in_stock := body.get("in_stock_only", False), bool):
        wrong.append(("in_stock_only", "must be true or false"))
    if wrong:
        raise _wrong(wrong)
    wish = offers.Wish(int(n), frozenset(each.strip().upper() for each in without), in_stock, floor or None)
    return [str(each).strip().upper() for each in products or ()], country, wish


def _is_code(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 1_000


def _wrong(fields: list[tuple[str, str]]) -> RefusalError:
    said = "; ".join(f"{name} {message}" for name, message in fields[:3])
    details = [{"field": name, "message": message} for name, message in fields]
    return RefusalError(
        422, "bad_fields", f"a basket must have products, and may have rules; {said}. Correct it.", details
    )
