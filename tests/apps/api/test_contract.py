"""The contract: what ``/v1/openapi.json`` says is what the server does, for requests nobody thought of too."""

import os
import traceback

import hypothesis
import pytest
import requests
import schemathesis

# Now, and not when it is first used: Python 3.11 may fail to parse a module while another thread parses, too.
import schemathesis.specs.openapi.schemas
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from shopkeeper import vocabulary as v
from shopkeeper.apps.api import contract

REQUESTS = int(os.environ.get("SHOPKEEPER_REQUESTS", "8"))
"""To each endpoint, right and wrong; twenty in `.ci/run`."""
OF_MEANING = [negative_data_rejection, positive_data_acceptance]
"""Whether a cursor was given, a code exists or a key was left away is not in a schema; other tests say what comes of it."""


@pytest.fixture(name="document", scope="module")
def _document(served):
    return served.get("/v1/openapi.json").json()


@pytest.fixture(name="keyed", scope="module")
def _keyed(make_project, publish, serving):
    """A server with a key for everything, and the header that carries it."""
    parts = make_project("[api]\nrate = 0\n")
    publish(parts, 1)
    key = parts.keys.add("everything", v.SCOPES)
    with serving(parts) as client:
        yield str(client.base_url), {"Authorization": f"Bearer {key}"}


def test_every_endpoint_is_in_the_contract(served, document):
    """Each with a summary, its answer, its errors in the one shape, and the scopes in words."""
    endpoints = served.application.endpoints
    assert {(method.upper(), path) for path, each in document["paths"].items() for method in each} == {
        (each.method, each.path) for each in endpoints
    }
    assert document["openapi"].startswith("3.1")
    operations = [operation for each in document["paths"].values() for operation in each.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"].endswith(".")
        assert {"500", "503"} <= operation["responses"].keys()
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                (shape,) = response["content"].values()
                assert shape["schema"] == {"$ref": "#/components/schemas/Error"}
    for each in endpoints:
        assert all(
            scope in contract.document([each])["paths"][each.path][each.method.lower()]["description"]
            for scope in each.scopes
        )


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_breaks_it(keyed, mode):
    """No 500, no status, header or body that the contract does not name, whatever is sent; wrong requests are refused."""
    base, headers = keyed
    schema = schemathesis.openapi.from_url(f"{base}/v1/openapi.json")
    n_asked, failed = 0, []
    with requests.Session() as session:
        # A stream does not end; tests of the live numbers listen to it.
        for found in schema.exclude(path="/v1/live/stream").get_all_operations():
            operation = found.ok()
            try:
                strategy = operation.as_strategy(generation_mode=mode)

                @hypothesis.settings(
                    max_examples=REQUESTS,
                    deadline=None,
                    database=None,
                    derandomize=True,
                    suppress_health_check=list(hypothesis.HealthCheck),
                    phases=(hypothesis.Phase.generate,),
                )
                @hypothesis.given(case=strategy)
                def ask(case):
                    nonlocal n_asked
                    n_asked += 1
                    case.call_and_validate(base_url=base, session=session, headers=headers, excluded_checks=OF_MEANING)

                ask()
            except hypothesis.errors.Unsatisfiable:
                # There is nothing wrong that could be sent to it.
                continue
            except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - all of them are shown together
                failed.append("".join(traceback.format_exception_only(error))[:3000])
    assert failed == [], "\n\n".join(failed)
    assert n_asked > 5 * REQUESTS
