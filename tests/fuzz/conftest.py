import sys
from pathlib import Path

# Seeds are made of the models that the tests of the runtime share.
sys.path.append(str(Path(__file__).parents[1] / "runtime"))
