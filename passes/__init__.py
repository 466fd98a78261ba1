"""Verbs: graph in, graph out, one pass a file."""

from sparsepass.passes.add_chains import BESIDE, AddChains, names_beside, shapes_of_summands
from sparsepass.passes.compact_channels import CompactChannels
from sparsepass.passes.constant_inputs import ConstantInputs
from sparsepass.passes.convolve_batchnorm import ConvolveBatchNorm
from sparsepass.passes.cut_inputs import CutInputs, cuts_of, without_cuts
from sparsepass.passes.factor_convolutions import FactorConvolutions
from sparsepass.passes.fold_batchnorm import FoldBatchNorm
from sparsepass.passes.fold_constants import FoldConstants
from sparsepass.passes.fold_pad import FoldPad
from sparsepass.passes.fold_scale import FoldScale
from sparsepass.passes.fuse_branches import FuseBranches, Pair
from sparsepass.passes.inline_functions import InlineFunctions
from sparsepass.passes.lower_convolutions import LowerConvolutions, Replacement
from sparsepass.passes.lower_lrn import LowerLrn
from sparsepass.passes.lower_max_pool import LowerMaxPool
from sparsepass.passes.name_nodes import NameNodes
from sparsepass.passes.quantize_weights import QuantizeWeights
from sparsepass.passes.remove_unused import RemoveUnused
from sparsepass.passes.set_weights import SetWeights
from sparsepass.passes.split_convolutions import Split, SplitConvolutions
from sparsepass.passes.tile_batch import TileBatch
from sparsepass.passes.transpose_gemm import TransposeGemm
from sparsepass.passes.untile_batch import UntileBatch

__all__ = [
    "BESIDE",
    "AddChains",
    "CompactChannels",
    "ConstantInputs",
    "ConvolveBatchNorm",
    "CutInputs",
    "FactorConvolutions",
    "FoldBatchNorm",
    "FoldConstants",
    "FoldPad",
    "FoldScale",
    "FuseBranches",
    "InlineFunctions",
    "LowerConvolutions",
    "LowerLrn",
    "LowerMaxPool",
    "NameNodes",
    "Pair",
    "QuantizeWeights",
    "RemoveUnused",
    "Replacement",
    "SetWeights",
    "Split",
    "SplitConvolutions",
    "TileBatch",
    "TransposeGemm",
    "UntileBatch",
    "cuts_of",
    "names_beside",
    "shapes_of_summands",
    "without_cuts",
]
