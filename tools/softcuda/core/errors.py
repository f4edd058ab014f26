"""Writes the error tables of both APIs, read from their headers: errors.py DRIVER_TYPES CUDA_H OUT."""

import re
import sys


def enumerators(path, enum_begin, prefix):
    """(name, value, text) of each enumerator; the text is its comment's first sentence."""
    source = open(path, encoding="utf-8").read()
    body = source[source.index(enum_begin):]
    body = body[:body.index("}")]
    pattern = re.compile(r"(?:/\*\*(?P<comment>(?:(?!\*/).)*)\*/\s*)?(?P<name>" + prefix + r"\w+)\s*=\s*(?P<value>\d+)", re.S)
    for match in pattern.finditer(body):
        text = re.sub(r"\s*\n\s*\*\s?", " ", match["comment"] or "")
        text = re.sub(r"::|\\ref |\\p ", "", text).strip()
        text = re.split(r"\.(?:\s|$)", text)[0] or match["name"]
        yield match["name"], int(match["value"]), text.replace("\\", "").replace('"', "'")


def table(name, rows):
    lines = [f"static const ErrorText {name}[] = {{"]
    lines += [f'    {{{value}, "{symbol}", "{text}"}},' for symbol, value, text in rows]
    return "\n".join(lines + ["};", ""])


def main():
    runtime, driver, out = sys.argv[1:]
    with open(out, "w", encoding="utf-8") as file:
        file.write(table("runtime_errors", enumerators(runtime, "enum __device_builtin__ cudaError\n", "cuda")))
        file.write(table("driver_errors", enumerators(driver, "typedef enum cudaError_enum {", "CUDA_")))


main()
