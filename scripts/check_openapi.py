"""Checks the self-description of `seqfit serve`: its OpenAPI document against the standard, its responses
against the document's schemas, and its metrics with the Prometheus parser.

    check_openapi.py FOLDER

FOLDER contains openapi.json, metrics.txt, and responses in NAME.json, where NAME begins with the name of the
schema: Prediction-1.json.
"""

import json
import sys
from pathlib import Path

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from prometheus_client.openmetrics.parser import text_string_to_metric_families


def main() -> None:
    folder = Path(sys.argv[1])
    document = json.loads((folder / "openapi.json").read_text())
    OpenAPIV31SpecValidator(document).validate()
    checked = 0
    for path in sorted(folder.glob("*-*.json")):
        schema = path.name.split("-")[0]
        if schema not in document["components"]["schemas"]:
            sys.exit(f"{path.name}: no schema {schema}")
        whole = {**document, "$ref": f"#/components/schemas/{schema}"}
        Draft202012Validator(whole).validate(json.loads(path.read_text()))
        checked += 1
    families = list(text_string_to_metric_families((folder / "metrics.txt").read_text()))
    print(json.dumps({"answers": checked, "metrics": [family.name for family in families]}))


if __name__ == "__main__":
    main()
