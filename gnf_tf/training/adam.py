"""Adam with a rise and fall of the learning rate."""

import tf_keras

__all__ = ["cosine_adam"]


def cosine_adam(
    learning_rate: float, total_steps: int, *, global_clipnorm: float, beta_2: float = 0.999
) -> tf_keras.optimizers.Adam:
    """Makes Adam with a linear warmup in the first 5 % of the steps, then a cosine decay to 0.

    Args:
      learning_rate: the peak learning rate.
      total_steps: number of training steps.
      global_clipnorm: largest global norm of the gradient.
      beta_2: decay rate of Adam's second moment.
    """
    warmup = max(1, total_steps // 20)
    schedule = tf_keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate / 20,
        decay_steps=max(1, total_steps - warmup),
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )
    # The whole training step is compiled, or nothing is: no separate program for the update.
    return tf_keras.optimizers.Adam(
        schedule, beta_2=beta_2, global_clipnorm=global_clipnorm, jit_compile=False
    )
