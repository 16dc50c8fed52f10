"""What holds in every test: properties draw the same examples each time, and a test may leave a note for the reader."""

import signal

import pytest
from hypothesis import settings

# Hypothesis' own profile for CI. `--hypothesis-profile=default` looks further, with a new seed each time.
settings.load_profile("ci")

# A shell that starts something in the background lets it ignore Ctrl-C, and all that it starts. Tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded by `record_property("note", text)`: worth knowing, not worth failing."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    notes = [text for report in reports for name, text in report.user_properties if name == "note"]
    if notes:
        terminalreporter.section("notes")
    for text in notes:
        terminalreporter.write_line(str(text))
