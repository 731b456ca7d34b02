"""The one door to real VLMs: any image-text-to-text checkpoint of transformers, behind the `VLM` protocol."""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import peft
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mmevolve.config.ranges import Range
from mmevolve.models.decode import Knobs, decode
from mmevolve.models.encode import Encoder, Row, collate
from mmevolve.models.limits import limits_of
from mmevolve.models.opening import open_model, open_processor
from mmevolve.models.prefix import shared_batches, shared_states
from mmevolve.models.score import score_hidden
from mmevolve.models.vision import Eye, VisionFeatures
from mmevolve.protocols import TokenScores
from mmevolve.types import Chat, Reply

PACKAGED = "mmevolve:"
TOWERS = ("vision_tower", "visual", "vision_model")
PROJECTORS = ("multi_modal_projector", "connector", "merger", "deepstack_merger_list", "image_newline")
DECODE_ROWS = 512  # replies drawn side by side
SCORE_TOKENS = 16384  # prompt and completion tokens of one scoring pass


class TransformersVLM:
    """A transformers VLM that samples, scores and can be trained.

    Args:
        name: a local folder, a hub id, or `mmevolve:tiny_vlm`, the model that ships with the package.
        lora: a `peft.LoraConfig`, drawn from seed 0 whatever the run's; None trains the weights themselves.
        freeze: what full training leaves alone: `tower`, `eye` (tower and projector), `all` or `nothing`.
        dtype: weights' dtype.
        device: `auto` takes a GPU when there is one.
        decode_rows: replies drawn side by side; changes speed and memory, not results.
        features: where what a frozen eye sees is kept, so that each image is encoded once; one store may be given to
            several models. None for a store of its own.

    Raises:
        ValueError: when the checkpoint is not one of a vision-language model, or not whole (`models.opening`).
    """

    def __init__(
        self,
        name: str,
        *,
        lora: peft.LoraConfig | None = None,
        freeze: Literal["nothing", "tower", "eye", "all"] = "eye",
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        device: str = "auto",
        decode_rows: Annotated[int, Range(1)] = DECODE_ROWS,
        features: VisionFeatures | None = None,
    ):
        self.source = name
        self.version = "base"
        folder = model_folder(name)
        self.processor = open_processor(folder, name)
        self.model: Any = open_model(folder, name, getattr(torch, dtype)).eval()
        self.limits = limits_of(self.processor, self.model, name)
        self.encoder = Encoder(self.processor)
        self.lora = lora
        self.freeze = freeze
        if lora is not None:
            # One start for all: a run taken up again must find its own weights. peft reads what transformers renames.
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
                torch.manual_seed(0)
                self.model = peft.get_peft_model(self.model, copy.deepcopy(lora)).eval()
        else:
            for parameter_name, parameter in self.model.named_parameters():
                parameter.requires_grad_(not _frozen(parameter_name, freeze))
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model.to(device)
        self.decode_rows = decode_rows
        self.share(VisionFeatures() if features is None else features)
        self._never: tuple[int, ...] | None = None
        self._home: dict[str, torch.Tensor] | None = None

    @property
    def name(self) -> str:
        """Model and weights version; the author of what it writes."""
        return f"{self.source}@{self.version}"

    def describe(self) -> dict[str, Any]:
        """What decides its behaviour, for the store's keys."""
        lora = None if self.lora is None else json.loads(json.dumps(self.lora.to_dict(), default=sorted_or_str))
        return {"model": self.source, "weights": self.weights_digest(), "lora": lora, "freeze": self.freeze}

    def weights_digest(self) -> str:
        """First 16 hex digits of a SHA-256 over the weights that training changes, as they are now."""
        digest = hashlib.sha256(self.source.encode())
        for name, parameter in sorted(self.named_weights()):
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def share(self, features: VisionFeatures) -> None:
        """Keep what the image processor and a frozen eye make of images here from now on."""
        self.features = features
        self.encoder.use(features.pictures(self.processor.image_processor))
        self.encoder.eye = Eye(self.model, self.encoder.pictures, features)

    def generate(
        self,
        chats: Sequence[Chat],
        *,
        n: int = 1,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        max_tokens: int = 1024,
        seeds: Sequence[int] = (),
        stop: Sequence[str] = (),
        prefixes: Sequence[str] = (),
    ) -> list[list[Reply]]:
        """Draw `n` replies a chat; with `prefixes`, continuations of what the assistant has said so far.

        A reply that a stop string ends holds that string, as its tokens do. One that fills the context up ends there,
        as one that reaches `max_tokens` does.

        Raises:
            ValueError: when seeds or prefixes are given and are not one a chat; when a chat has more images or tokens
                than the model takes. Nothing has been drawn then.
        """
        for given, what in ((seeds, "seeds"), (prefixes, "prefixes")):
            if given and len(given) != len(chats):
                raise ValueError(f"{len(given)} {what} for {len(chats)} chats: expected one each")
        seeds = list(seeds) or [0] * len(chats)
        rows = [
            self._row(chat, self.encoder.completion(prefixes[i] if prefixes else "", end=False))
            for i, chat in enumerate(chats)
        ]
        room = [min(max_tokens, self.limits.room(c, row, self.source)) for c, row in zip(chats, rows, strict=True)]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].prompt.ids) + len(rows[i].completion))
        drawn = decode(
            self.model,
            [rows[i] for i in order],
            Knobs(n, temperature, top_k, top_p, max(room, default=0)),
            [seeds[i] for i in order],
            read=lambda some: collate(some, pad=self.pad, device=self.device, side="left"),
            room=self.decode_rows,
            end=self._end,
            banned=self._banned,
            stopped=self._stopper(stop),
        )
        replies: list[list[Reply]] = [[] for _ in chats]
        for k, i in enumerate(order):
            replies[i] = [self._reply(d, room[i]) for d in drawn[k * n : (k + 1) * n]]
        return replies

    def logprobs(self, chats: Sequence[Chat], completions: Sequence[str]) -> list[TokenScores]:
        """Log-probabilities and entropies of given completions, end token included; a prompt is read once.

        Raises:
            ValueError: when a chat has more images than the model takes, or its prompt fills the context up.
        """
        rows = [self._row(c, self.encoder.completion(t)) for c, t in zip(chats, completions, strict=True)]
        for chat, row in zip(chats, rows, strict=True):
            self.limits.room(chat, Row(row.prompt), self.source)
        scores: list[TokenScores | None] = [None] * len(rows)
        for batch in shared_batches(rows, SCORE_TOKENS):
            with torch.inference_mode():
                picked = [rows[i] for i in batch]
                states = shared_states(self.model, picked, pad=self.pad)
                out = score_hidden(self.model, states, picked, [0] * len(picked))
            for k, i in enumerate(batch):
                length = len(rows[i].completion)
                logps, entropies = out.logps[k, :length].tolist(), out.entropies[k, :length].tolist()
                scores[i] = TokenScores(rows[i].completion, tuple(logps), tuple(entropies))
        return [s for s in scores if s is not None]

    def named_weights(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """The parameters that training changes."""
        return ((n, p) for n, p in self.model.named_parameters() if p.requires_grad)

    def train_mode(self) -> None:
        """Ready to learn: dropout on, but not in a tower or projector that stays as it is."""
        self.model.train()
        for name, module in self.model.named_modules():
            eye = name.split(".")[-1] in (*TOWERS, *PROJECTORS)
            if eye and not any(p.requires_grad for p in module.parameters()):
                module.eval()

    def eval_mode(self) -> None:
        """Back from training: no dropout, no gradients kept."""
        self.model.eval()
        self.model.zero_grad(set_to_none=True)

    @property
    def banned_in_completion(self) -> frozenset[int]:
        """Ids that no training row may hold in its completion."""
        return frozenset(self._banned)

    def mark_home(self) -> None:
        """Remember the present weights as the ones that `go_home` restores."""
        self._home = {n: p.detach().clone() for n, p in self.named_weights()}

    def go_home(self) -> None:
        """Restore the weights of the last `mark_home`.

        Raises:
            RuntimeError: when nothing was marked.
        """
        if self._home is None:
            raise RuntimeError("the policy has no marked weights to restart from")
        self._put(self._home)

    def start_from(self, policy: TransformersVLM) -> None:
        """Take over what a policy of the same checkpoint has learned, in the weights that both train.

        Raises:
            ValueError: when its checkpoint is another, or it trains other weights.
        """
        if policy.source != self.source:
            raise ValueError(f"'{self.name}' cannot start from '{policy.name}': expected a policy of '{self.source}'")
        self._put({name: weight.detach() for name, weight in policy.named_weights()})
        self.version = policy.version

    def save(self, folder: Path) -> None:
        """Write a checkpoint that transformers (or peft, with an adapter) loads by itself, and `load` in place."""
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)
        weights = {n: p.detach().contiguous().clone() for n, p in self.named_weights()}
        save_file(weights, folder / "trained.safetensors")

    def load(self, folder: Path, version: str) -> None:
        """Take over the trained weights of a checkpoint written by `save`.

        Raises:
            ValueError: when they are not this model's weights, naming the first that differs, or cannot be read.
        """
        file = Path(folder) / "trained.safetensors"
        try:
            self._put(load_file(file))
        except FileNotFoundError:
            raise ValueError(f"'{folder}' is no checkpoint of a run: it holds no {file.name}") from None
        except SafetensorError as error:
            raise ValueError(
                f"the checkpoint '{file}' is broken ({error}): remove it, it will be made again"
            ) from error
        self.version = version

    def _put(self, weights: dict[str, torch.Tensor]) -> None:
        put_weights(dict(self.named_weights()), weights, self.name)

    def _row(self, chat: Chat, completion: tuple[int, ...]) -> Row:
        self.limits.count(chat, self.source)
        return Row(self.encoder.prompt(chat), completion)

    @property
    def pad(self) -> int:
        """Id that fills rows up; always masked."""
        pad = self.encoder.tokenizer.pad_token_id
        return self.encoder.tokenizer.eos_token_id if pad is None else pad

    @property
    def _end(self) -> frozenset[int]:
        said = self.model.generation_config.eos_token_id
        ids = [said] if isinstance(said, int) else list(said or ())
        return frozenset([*ids, self.encoder.tokenizer.eos_token_id, self.encoder.end]) - {None}

    @property
    def _banned(self) -> tuple[int, ...]:
        if self._never is None:
            self._never = self._find_banned()
        return self._never

    def _find_banned(self) -> tuple[int, ...]:
        tokenizer = self.encoder.tokenizer
        special = {i for i, t in tokenizer.added_tokens_decoder.items() if t.special} | set(tokenizer.all_special_ids)
        config = self.model.config
        for key in ("image_token_id", "image_token_index", "video_token_id"):
            special |= {getattr(config, key)} if getattr(config, key, None) is not None else set()
        vocabulary = set(range(self.model.get_output_embeddings().weight.shape[0]))
        nameless = vocabulary - set(tokenizer.get_vocab().values())  # rows that only fill the embedding up
        return tuple(sorted(((special & vocabulary) | nameless) - self._end))

    def _stopper(self, stop: Sequence[str]) -> Any:
        if not stop:
            return None
        window = max(len(s.encode()) for s in stop) + 4  # a token is a byte at least
        return lambda ids: any(s in self.encoder.tokenizer.decode(ids[-window:]) for s in stop)

    def _reply(self, drawn: Any, room: int) -> Reply:
        ids, logprobs = drawn.ids[:room], drawn.logprobs[:room]
        text = self.encoder.tokenizer.decode(ids, skip_special_tokens=True).strip()
        reason = "stop" if drawn.ended and len(ids) == len(drawn.ids) else "length"
        return Reply(text, self.name, reason, tuple(ids), tuple(round(x, 5) for x in logprobs))


def put_weights(own: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], owner: str) -> None:
    """Copy a checkpoint's weights in place; all or none.

    Raises:
        ValueError: when names or shapes differ, naming the first weight that does.
    """
    for name in sorted(set(own) ^ set(weights)):
        raise ValueError(f"checkpoint and '{owner}' differ: weight '{name}' is in only one of them")
    for name, tensor in weights.items():
        if own[name].shape != tensor.shape:
            expected = tuple(own[name].shape)
            raise ValueError(f"'{owner}', weight '{name}': shape {tuple(tensor.shape)}, expected {expected}")
    with torch.no_grad():
        for name, tensor in weights.items():
            own[name].copy_(tensor)


def model_folder(name: str) -> str:
    """Where a model lies: packaged names become their folder, anything else is left to transformers."""
    if name.startswith(PACKAGED):
        return str(Path(__file__).parent / name.removeprefix(PACKAGED))
    return name


def sorted_or_str(value: object) -> object:
    """JSON for the sets and enums in a peft config."""
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def _frozen(name: str, freeze: str) -> bool:
    if freeze == "all":
        return True
    parts = name.split(".")
    if any(p in PROJECTORS for p in parts):  # Qwen keeps its projector inside the tower
        return freeze == "eye"
    return freeze != "nothing" and any(p in TOWERS for p in parts)
