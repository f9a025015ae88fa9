"""Has the AWS CLI itself judge command lines, without sending anything.

Reads command lines from stdin, one a line; a line that begins with # is passed over. Each goes through
the CLI's own parser and its own validation of parameters. The CLI leaves the values of enumerations and
patterns to the service, so these are checked here against the CLI's model of the service; with the
argument `parser` they are not, for a CLI whose model is older than the service. Prints for each line
`ok`, or `refused` and why.
"""

import contextlib
import io
import re
import shlex
import sys

from awscli.clidriver import create_clidriver


class Accepted(BaseException):
    """The request is ready: here it would be sent. (Version 2 of the CLI catches even this.)"""

    happened = False


def judge(shape, value, name):
    if shape.type_name == "structure":
        for member, inner in value.items():
            judge(shape.members[member], inner, f"{name}.{member}")
    elif shape.type_name == "list":
        for inner in value:
            judge(shape.member, inner, f"{name}[]")
    elif shape.type_name == "string":
        enum = shape.metadata.get("enum")
        if enum and value not in enum:
            raise ValueError(f"{name}: {value} is none of {enum}")
        pattern = shape.metadata.get("pattern")
        if pattern and "\\p" not in pattern and not re.search(pattern, value):
            raise ValueError(f"{name}: {value} does not match {pattern}")


def checked(params, model, **_):
    if model.input_shape is not None:
        judge(model.input_shape, params, model.name)


def accepted(**_):
    Accepted.happened = True
    raise Accepted


def run(line):
    driver = create_clidriver()
    if sys.argv[1:] != ["parser"]:
        driver.session.register("before-parameter-build", checked)
    driver.session.register("before-call", accepted)
    said = io.StringIO()
    code = None
    Accepted.happened = False
    program, *arguments = shlex.split(line)
    if program != "aws":
        return "refused: not a command of aws"
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            code = driver.main(arguments)
    except Accepted:
        pass
    except SystemExit as ended:
        code = ended.code
    if Accepted.happened:
        return "ok"
    return f"refused: {code} " + " ".join(said.getvalue().split())[-300:]


for line in sys.stdin:
    if not line.startswith("#"):
        print(run(line), flush=True)
