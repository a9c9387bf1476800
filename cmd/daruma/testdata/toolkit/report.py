# Prints what the Chaos Toolkit's own reports say of a journal.
import json
import sys

from chaoslib.configuration import load_configuration
from chaoslib.secret import load_secrets
from chaosreport import generate_report

with open(sys.argv[1]) as file:
    journal = json.load(file)
experiment = journal["experiment"]
configuration = load_configuration(experiment.get("configuration") or {})
print(generate_report(journal, "markdown", configuration, load_secrets(experiment.get("secrets") or {}, configuration)))
