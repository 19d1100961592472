"""Bad input to every public function is a `ValueError` that begins with an argument's name, and changes nothing."""

import inspect
import re

import numpy as np
import pytest

import liam_core
from liam_core import gf2, steps
from tests.native.bad_input import FUNCTIONS

# What takes no data: exceptions, results, and what reads a file or a definition, which tests of their own hold.
ELSEWHERE = {
    "BinaryAlgebra": "tests/unit/test_algebra_arguments.py",
    "LaborIntelligenceEngine": "tests/unit/test_labor_*.py",
    **dict.fromkeys(["read_binary_index", "read_binary_network", "read_signal_transform"], "test_*_refusals.py"),
    **dict.fromkeys(["BinaryIndex.open", "BinaryNetwork.open", "SignalTransform.open"], "test_*_refusals.py"),
    **dict.fromkeys(["save_binary_index", "save_binary_network", "save_signal_transform"], "a definition"),
    **dict.fromkeys(["BinaryIndex", "BinaryNetwork", "SignalTransform"], "a definition"),
    **dict.fromkeys(["Capabilities", "Matches", "Neighbours", "gf2.RowReduced", "gf2.Solution"], "a result"),
    "steps.Signal": "what stands between two steps",
    "steps.TransformDefinition": "TransformDefinition",
}


def public():
    """Yield the names of all public functions and classes, and of the classes' public methods that take arguments."""
    for prefix, module in (("", liam_core), ("gf2.", gf2), ("steps.", steps)):
        for name in module.__all__:
            found = getattr(module, name)
            if inspect.isclass(found) and not issubclass(found, Exception):
                yield f"{prefix}{name}"
                for method in () if ELSEWHERE.get(name, "").startswith("tests/") else vars(found):
                    bound = getattr(found, method)
                    if method.startswith("_") or method == "after" or not inspect.isroutine(bound):
                        continue
                    if set(inspect.signature(bound).parameters) - {"self"}:
                        yield f"{prefix}{name}.{method}"
            elif inspect.isfunction(found) and inspect.signature(found).parameters:
                yield f"{prefix}{name}"


def test_every_public_function_is_among_them():
    """A function, class or method that nothing here calls with bad input is missing, and so is an argument of one."""
    walked = {function.name: function for function in FUNCTIONS}
    assert set(public()) == walked.keys() | ELSEWHERE.keys()
    assert not walked.keys() & ELSEWHERE.keys()
    for name, function in walked.items():
        call = function.call
        if name.startswith("write_"):
            call = getattr(liam_core, name)
        if getattr(call, "__name__", "") != "<lambda>":
            taken = set(inspect.signature(call).parameters) - {"path"}
            assert taken == function.arguments.keys(), name


def cases(kind):
    """Return one case for each value of each argument of each function."""
    return [
        pytest.param(function, name, value, id=f"{function.name} {name} {word}")
        for function in FUNCTIONS
        for name, argument in function.arguments.items()
        for word, value in getattr(argument, kind)()
    ]


def message(function, name, value):
    """Return what a call with this value says."""
    kept = {
        key: np.copy(argument.good)
        for key, argument in function.arguments.items()
        if isinstance(argument.good, np.ndarray)
    }
    with pytest.raises(ValueError) as refused:
        function.run(**{name: value})
    for key, copy in kept.items():
        np.testing.assert_array_equal(function.arguments[key].good, copy)
    return str(refused.value)


@pytest.mark.parametrize("function", FUNCTIONS, ids=[function.name for function in FUNCTIONS])
def test_good_input_is_taken(function):
    """The arguments that the tests of this file change are good ones."""
    function.run()


@pytest.mark.parametrize(("function", "name", "value"), cases("bad"))
def test_a_bad_value_is_refused_by_its_name(function, name, value):
    """Whatever is wrong with a value, type, dtype, axes, layout, number, the message begins with its name."""
    assert re.match(rf"({function.arguments[name].called or re.escape(name)})(?!\w)", message(function, name, value))


@pytest.mark.parametrize(("function", "name", "value"), cases("unfit"))
def test_a_value_that_does_not_fit_is_refused_by_a_name(function, name, value):
    """Where two arguments do not fit, such as bits and their number, the message begins with the name of one."""
    names = "|".join(argument.called or re.escape(key) for key, argument in function.arguments.items())
    assert re.match(rf"({names})(?!\w)", message(function, name, value))
