"""Models made of the library's parts."""

from gnf_tf.models.grevnet import GRevNet

__all__ = ["GRevNet"]
