"""Systems of particles with known energies, and samples of them by annealed Hamiltonian MCMC."""

import dataclasses
import itertools

import numpy as np

__all__ = ["SYSTEMS", "Samples", "System", "anneal"]


class System:
    """Particles whose energy, in units of the temperature, is a sum over pairs and a harmonic term.

    U(x) = sum over pairs u(|x_i - x_j|) + 1/2 k sum_i |x_i - mean|^2. All arrays of positions are
    [num_chains, num_particles, dimension] float64 with mean 0 over the particles.
    """

    num_particles: int
    dimension: int
    harmonic: float  # k
    start: float  # k of the Gaussian in which annealing starts
    step: float  # of the integrator
    first: float  # log10 of the first weight of the energy while annealing

    def __init__(self):
        self._i, self._j = np.triu_indices(self.num_particles, 1)
        self._incidence = np.zeros([self.num_particles, len(self._i)])
        self._incidence[self._i, np.arange(len(self._i))] = 1.0
        self._incidence[self._j, np.arange(len(self._i))] = -1.0

    def pair(self, r):
        """u(r) and its derivative."""
        raise NotImplementedError

    @property
    def degrees(self) -> int:
        """d (N - 1), the number of coordinates without the mean."""
        return self.dimension * (self.num_particles - 1)

    def distances(self, x: np.ndarray) -> np.ndarray:
        """Of all pairs, [num_chains, num_pairs]."""
        return np.linalg.norm(x[:, self._i] - x[:, self._j], axis=-1)

    def energy(self, x: np.ndarray) -> np.ndarray:
        """U(x), [num_chains]."""
        x = x - x.mean(axis=1, keepdims=True)
        with np.errstate(over="ignore"):
            pairs = self.pair(self.distances(x))[0].sum(axis=1)
        return pairs + 0.5 * self.harmonic * np.square(x).sum(axis=(1, 2))

    def annealed(self, x, weight):
        """Energy and gradient of weight U + (1 - weight) U_0; dU/dweight of it too."""
        differences = x[:, self._i] - x[:, self._j]
        r = np.maximum(np.linalg.norm(differences, axis=-1), 1e-2)
        u, slope = self.pair(r)
        square = 0.5 * np.square(x).sum(axis=(1, 2))
        change = u.sum(axis=1) + (self.harmonic - self.start) * square
        force = np.matmul(self._incidence, differences * (slope / r)[..., np.newaxis])
        k = weight * self.harmonic + (1.0 - weight) * self.start
        return self.start * square + weight * change, weight * force + k * x, change


class LJ13(System):
    """13 particles, u = r^-12 - 2 r^-6 (r_m = 1, depth 1), k = 1."""

    num_particles, dimension, harmonic, start, step, first = 13, 3, 1.0, 1.0, 0.03, -10.0

    def pair(self, r):
        """u(r) and its derivative."""
        s = r**-6
        return s * s - 2.0 * s, -12.0 * (s * s - s) / r


class DW4(System):
    """4 particles in the plane, u = -4 (r - 4)^2 + 0.9 (r - 4)^4."""

    num_particles, dimension, harmonic, start, step, first = 4, 2, 0.0, 0.15, 0.08, -5.0

    def pair(self, r):
        """u(r) and its derivative."""
        s = r - 4.0
        return -4.0 * s**2 + 0.9 * s**4, -8.0 * s + 3.6 * s**3


SYSTEMS = {"lj13": LJ13, "dw4": DW4}


@dataclasses.dataclass(frozen=True)
class Samples:
    """Samples, and what the way to them tells."""

    positions: np.ndarray
    """[num_rounds, num_chains, num_particles, dimension] float32"""
    log_z: float
    """log of the integral of exp(-U) over the coordinates without the mean"""
    acceptance: float
    """share of proposals that were accepted after annealing"""


def anneal(
    system: System, num_chains: int, num_rounds: int, *, seed: int, steps: int = 400, thin: int = 20
) -> Samples:
    """Anneals chains from a Gaussian to the system, then samples it.

    Each chain is an annealed importance sampler with resampling (sequential Monte Carlo), which
    gives log Z. The moves are Hamiltonian, of 15 leapfrog steps with random step sizes.

    Args:
      system: the system.
      num_chains: number of chains.
      num_rounds: number of samples of each chain.
      seed: of NumPy's generator.
      steps: number of weights while annealing; half as many moves at the end are burn-in.
      thin: number of moves between samples.
    """
    rng = np.random.default_rng(seed)
    shape = (num_chains, system.num_particles, system.dimension)

    def normal():
        x = rng.normal(size=shape)
        return x - x.mean(axis=1, keepdims=True)

    def move(x, weight):
        size = system.step * max(weight ** (1 / 12), 0.3)
        size = size * rng.uniform(0.5, 1.2, [num_chains, 1, 1])
        p = normal()
        energy, gradient, _ = system.annealed(x, weight)
        new, q = x, p - 0.5 * size * gradient
        for i in range(15):
            new = new + size * q
            new_energy, gradient, _ = system.annealed(new, weight)
            q = q - (size if i < 14 else 0.5 * size) * gradient
        kinetic = 0.5 * (np.square(p) - np.square(q)).sum(axis=(1, 2))
        change = np.nan_to_num(energy - new_energy + kinetic, nan=-np.inf)
        accepted = np.log(rng.uniform(size=num_chains)) < change
        return np.where(accepted[:, np.newaxis, np.newaxis], new, x), accepted.mean()

    x = normal() / np.sqrt(system.start)
    log_z = 0.5 * system.degrees * np.log(2.0 * np.pi / system.start)
    weights = np.concatenate([[0.0], np.logspace(system.first, 0.0, steps)])
    log_w = np.zeros(num_chains)
    for before, after in itertools.pairwise(weights):
        log_w -= (after - before) * system.annealed(x, before)[2]
        share = np.exp(log_w - log_w.max())
        if share.sum() ** 2 < 0.5 * num_chains * np.square(share).sum() or after == 1.0:
            log_z += log_w.max() + np.log(share.mean())
            x = x[rng.choice(num_chains, num_chains, p=share / share.sum())]
            log_w = np.zeros(num_chains)
        x, _ = move(x, after)
    found, accepted = [], []
    for i in range(steps // 2 + num_rounds * thin):
        x, share = move(x, 1.0)
        if i >= steps // 2:
            accepted.append(share)
            if (i - steps // 2) % thin == thin - 1:
                found.append(x.astype(np.float32))
    return Samples(np.stack(found), float(log_z), float(np.mean(accepted)))
