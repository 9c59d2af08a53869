"""A shop asks: who may leave, what to show them, what goes with a basket.  python client.py http://127.0.0.1:8080 [KEY]"""

import json
import sys
import urllib.request


def ask(base: str, path: str, body: object = None, key: str = "") -> dict:
    """GET a path, or POST a body to it; return the answer. Raises HTTPError, whose body says what to do."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(base + path, data, headers), timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def main(base: str, key: str = "") -> None:
    """Print three answers."""
    leaving = ask(base, "/v1/customers?churn_probability.gte=0.7&limit=3", key=key)["data"]
    for customer in leaving:
        shown = ask(base, f"/v1/recommendations/customers/{customer['customer_id']}?n=2", key=key)["recommendations"]
        print(customer["customer_id"], customer["churn_probability"], [each["description"] for each in shown])
    best = ask(base, "/v1/recommendations?n=1", key=key)["recommendations"][0]["product_id"]
    basket = {"products": [best], "n": 3, "in_stock_only": True}
    print([each["product_id"] for each in ask(base, "/v1/recommendations/basket", basket, key)["recommendations"]])


if __name__ == "__main__":
    main(*sys.argv[1:])
