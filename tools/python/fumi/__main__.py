"""python -m fumi: the fumi command of this environment, also where its bin directory is not on the PATH."""
import os
import sys

from . import program

path = program()
os.execv(path, [path, *sys.argv[1:]])
