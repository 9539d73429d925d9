"""pytest in the lab: `tests/net/lab /usr/bin/python3 -m pytest tests/net`."""
import os

import pytest

import lab


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "measure: measures time or rates and wants to run alone")
    if "MLVPN_LAB" not in os.environ:
        pytest.exit("network tests run inside tests/net/lab", 77)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for one in lab.open_labs:
            text = one.report()
            if text:
                report.sections.append(("lab", text[-20000:]))


@pytest.fixture
def make_lab(request):
    """Makes labs that end with the test: make_lab([Line(...), ...])."""
    made = []
    quiet = request.node.get_closest_marker("measure") is not None

    def make(*args, **options):
        options.setdefault("quiet", quiet)
        made.append(lab.Lab(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
