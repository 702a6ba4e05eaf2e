"""Learning of Mimi's codebooks: k-means to begin with, then moving averages.

Source: `MimiSplitResidualVectorQuantizer` of transformers, which has the inference half only. Here the same modules
are used with a straight-through gradient, and their codebooks follow the vectors they are chosen for.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.mimi.modeling_mimi import (
    MimiEuclideanCodebook,
    MimiResidualVectorQuantizer,
    MimiSplitResidualVectorQuantizer,
)

_DECAY = 0.99
_DEAD = 0.05  # share of the mean usage below which a code is placed anew
_KMEANS_ROUNDS = 12
_FAR = 100.0  # where the code that is never used lies


@dataclass(frozen=True, slots=True)
class Quantized:
    """Quantised latents.

    Args:
        latents: [B, D, T], what the decoder gets.
        semantic: [B, T, 64], codebook 0's vectors, before its projection back.
        codes: int [B, K, T]; None while nothing is quantised.
        commitment: how far the encoder is from the codes, a scalar.
    """

    latents: Tensor
    semantic: Tensor
    codes: Tensor | None
    commitment: Tensor


class CodebookLearner(nn.Module):
    """The quantiser in training. Code 0 of codebook 0 is never used: a frame of zeros ends an utterance in CSM."""

    def __init__(self, quantizer: MimiSplitResidualVectorQuantizer) -> None:
        super().__init__()
        self.quantizer = quantizer

    def forward(self, latents: Tensor, quantize: bool, learn: bool) -> Quantized:
        """Quantise latents [B, D, T], or pass them through the projections only.

        Args:
            latents: the encoder's output.
            quantize: False for the warm-up.
            learn: whether the codebooks follow.
        """
        outputs: list[Tensor] = []
        codes: list[Tensor] = []
        chosen: list[Tensor] = []
        commitment = latents.new_zeros((), dtype=torch.float32)
        halves = (self.quantizer.semantic_residual_vector_quantizer, self.quantizer.acoustic_residual_vector_quantizer)
        for half in halves:
            vectors = half.input_proj(latents).float().transpose(1, 2)  # [B, T, 64]
            if quantize:
                flat, indices, loss = self._residual(half, vectors.flatten(0, 1), learn, half is halves[0])
                chosen.append(vectors + (flat.view_as(vectors) - vectors).detach())
                commitment = commitment + loss
                codes.append(indices.view(len(indices), *vectors.shape[:2]).transpose(0, 1))
            else:
                chosen.append(vectors)
            outputs.append(half.output_proj(chosen[-1].transpose(1, 2)))
        return Quantized(
            latents=outputs[0] + outputs[1],
            semantic=chosen[0],
            codes=torch.cat(codes, dim=1) if codes else None,
            commitment=commitment,
        )

    def _residual(
        self, half: MimiResidualVectorQuantizer, vectors: Tensor, learn: bool, first: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Residual quantisation of vectors [N, 64]: their sum of codes, int [L, N], and the commitment loss."""
        total, residual, indices, loss = torch.zeros_like(vectors), vectors, [], vectors.new_zeros(())
        for layer in half.layers:
            book: MimiEuclideanCodebook = layer.codebook
            index = _nearest(book, residual.detach(), skip_zero=first)
            chosen = F.embedding(index, _embedding(book))
            loss = loss + F.mse_loss(residual, chosen)
            if learn:
                _follow(book, residual.detach(), index, skip_zero=first)
            total, residual = total + chosen, residual - chosen
            indices.append(index)
        return total, torch.stack(indices), loss

    @torch.no_grad()
    def initialise(self, latents: Tensor, seed: int) -> None:
        """Place all codebooks by k-means on latents [D, N]."""
        generator = torch.Generator().manual_seed(seed)
        for half in (
            self.quantizer.semantic_residual_vector_quantizer,
            self.quantizer.acoustic_residual_vector_quantizer,
        ):
            residual = half.input_proj(latents[None].float())[0].T  # [N, 64]
            for layer in half.layers:
                first = layer is self.quantizer.semantic_residual_vector_quantizer.layers[0]
                centres = _kmeans(residual, layer.codebook.codebook_size, generator)
                layer.codebook.embed_sum.copy_(centres)
                layer.codebook.cluster_usage.fill_(1.0)
                if first:
                    layer.codebook.embed_sum[0] = _FAR
                layer.codebook._embed = None
                chosen = F.embedding(_nearest(layer.codebook, residual, skip_zero=first), _embedding(layer.codebook))
                residual = residual - chosen


def _embedding(book: MimiEuclideanCodebook) -> Tensor:
    return book.embed_sum / book.cluster_usage.clamp(min=book.epsilon)[:, None]


def _nearest(book: MimiEuclideanCodebook, vectors: Tensor, skip_zero: bool) -> Tensor:
    distances = torch.cdist(vectors[None], _embedding(book)[None])[0]  # [N, codes]
    if skip_zero:
        distances[:, 0] = torch.inf
    return distances.argmin(dim=-1)


@torch.no_grad()
def _follow(book: MimiEuclideanCodebook, vectors: Tensor, index: Tensor, skip_zero: bool) -> None:
    """Move the centres towards the vectors [N, 64] they were chosen for; hardly used ones take one of the vectors."""
    chosen = F.one_hot(index, book.codebook_size).to(vectors.dtype)  # [N, codes]
    book.cluster_usage.mul_(_DECAY).add_(chosen.sum(0), alpha=1 - _DECAY)
    book.embed_sum.mul_(_DECAY).add_(chosen.T @ vectors, alpha=1 - _DECAY)
    mean_usage = len(vectors) / book.codebook_size
    dead = (book.cluster_usage < _DEAD * mean_usage).nonzero()[:, 0]
    if skip_zero:
        dead = dead[dead != 0]
    if len(dead):
        generator = torch.Generator().manual_seed(int(index.sum()))
        places = torch.randint(len(vectors), (len(dead),), generator=generator).to(vectors.device)
        book.cluster_usage[dead] = mean_usage * 0.5
        book.embed_sum[dead] = vectors[places] * mean_usage * 0.5
    if skip_zero:
        book.cluster_usage[0], book.embed_sum[0] = 1.0, _FAR
    book._embed = None


def _kmeans(vectors: Tensor, centres: int, generator: torch.Generator) -> Tensor:
    """Lloyd's algorithm on vectors [N, D], started from random ones; empty clusters start again."""
    order = torch.randperm(len(vectors), generator=generator).to(vectors.device)
    found = vectors[order[:centres]].clone()
    for _ in range(_KMEANS_ROUNDS):
        nearest = torch.cdist(vectors[None], found[None])[0].argmin(dim=-1)
        count = torch.bincount(nearest, minlength=centres).to(vectors.dtype)
        sums = torch.zeros_like(found).index_add_(0, nearest, vectors)
        again = vectors[torch.randint(len(vectors), (centres,), generator=generator).to(vectors.device)]
        found = torch.where(count[:, None] > 0, sums / count.clamp(min=1)[:, None], again)
    return found
