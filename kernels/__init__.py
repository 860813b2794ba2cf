"""Custom operators of the ONNX domain ``rsseg``, one room each.

Importing this package costs nothing: ``registry`` and ``cases`` need NumPy alone, ``reference`` modules need PyTorch,
``triton_kernel`` modules need Triton, ``onnx_function`` modules need onnx.
"""
