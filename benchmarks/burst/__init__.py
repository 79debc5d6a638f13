"""What the scaler does with a burst: the manifests' own formula on a pipeline that is simulated.

Nothing runs here: rates are those that docs/performance.md measured, targets and bounds are read
from the ScaledObjects. See docs/scaling.md.
"""
