"""Fuzzing of every command and reader with seeded hostile inputs: `make fuzz`.

A *scenario* is a command with input files that it accepts. A *reader* is one file or option of a
scenario. A *trial* is a number: from the suite's seed, the reader and the number follows which
change the file or option suffers. The command then runs in a forked process with a time limit, and
what came of it is judged:

* accepted: exit code 0 (or the command's own code for "problems found"), and, where the change does
  not alter the file's meaning, the results of the unchanged input;
* refused: exit code 2 and a message that names the file or the option;
* everything else is a fault: a traceback, a crash, a hang, a changed input file, an input accepted
  that must be refused, another result.

`python -m tests.fuzz --reader NAME --trial N` repeats one trial and shows what the command said.
"""
