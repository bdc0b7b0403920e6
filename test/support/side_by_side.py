"""Tests that mostly wait, several at once, each in a thread. A module has its own run so by

    def load_tests(_loader, tests, _pattern):
        return side_by_side.Suite(tests, 8)

A module's fixture is made for all of them; fixtures of classes are not. Single tests, named on the command line, run as ever.
"""
import concurrent.futures
import unittest


class Said(unittest.TestResult):
    """What became of a test, to be said again elsewhere."""

    def __init__(self):
        super().__init__()
        self.calls = []


def _keep(name):
    def keep(self, *arguments):
        self.calls.append((name, arguments))
    return keep


for _name in ("addSuccess", "addError", "addFailure", "addSkip", "addExpectedFailure", "addUnexpectedSuccess", "addSubTest"):
    setattr(Said, _name, _keep(_name))


def _flat(tests):
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from _flat(test)
        else:
            yield test


class Suite(unittest.TestSuite):
    def __init__(self, tests, at_once):
        super().__init__(_flat(tests))
        self.at_once = at_once

    def run(self, result, debug=False):
        def run(test):
            said = Said()
            test.run(said)
            return test, said.calls

        first = next(iter(self))
        self._handleModuleFixture(first, result)
        if result._moduleSetUpFailed:
            return result
        with concurrent.futures.ThreadPoolExecutor(self.at_once) as pool:
            for test, calls in pool.map(run, self):
                result.startTest(test)
                for name, arguments in calls:
                    getattr(result, name)(*arguments)
                result.stopTest(test)
        result._previousTestClass = first.__class__
        self._handleModuleTearDown(result)
        return result
