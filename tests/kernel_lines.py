"""Tell which lines of the modelled kernels no test reached, after `coverage run` and `combine`.

A line that cannot be reached says why: `# unreached: REASON`. Exits with 1 if a line was not
reached and does not say why, or says so and was reached. `make coverage` runs it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from coverage import Coverage

UNREACHED = re.compile(r"# unreached: \S")


def main() -> int:
    """Print what there is to say, and return the exit code."""
    measured = Coverage()
    measured.load()
    statements, missed, wrong = 0, 0, []
    for path in sorted(measured.get_data().measured_files()):
        _, lines, _, missing, _ = measured.analysis2(path)
        statements, missed = statements + len(lines), missed + len(missing)
        for number, text in enumerate(Path(path).read_text().splitlines(), 1):
            excused = UNREACHED.search(text)
            if number in missing and not excused:
                wrong.append(f"{path}:{number}: not reached: {text.strip()}")
            if number not in missing and excused:
                wrong.append(f"{path}:{number}: reached, so take the comment away")
    print(*wrong, sep="\n", end="\n" * bool(wrong))
    share = 100 * (statements - missed) / max(statements, 1)
    print(f"{statements - missed} of {statements} lines reached, {share:.1f} %")
    return 1 if wrong or not statements else 0


if __name__ == "__main__":
    sys.exit(main())
