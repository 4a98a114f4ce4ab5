"""What a model is for decides which head it gets: the tasks of the Hugging Face hub, as a table."""

from __future__ import annotations

from typing import Any

from toolkit.errors import InputError

TASKS = {
    "feature-extraction": ("AutoModel",),
    "fill-mask": ("AutoModelForMaskedLM",),
    "text-generation": ("AutoModelForCausalLM", "AutoModelForImageTextToText"),
    "image-text-to-text": ("AutoModelForImageTextToText",),
    "text2text-generation": ("AutoModelForSeq2SeqLM",),
    "text-classification": ("AutoModelForSequenceClassification",),
    "token-classification": ("AutoModelForTokenClassification",),
    "question-answering": ("AutoModelForQuestionAnswering",),
    "multiple-choice": ("AutoModelForMultipleChoice",),
    "image-classification": ("AutoModelForImageClassification",),
    "image-segmentation": (
        "AutoModelForSemanticSegmentation",
        "AutoModelForUniversalSegmentation",
        "AutoModelForInstanceSegmentation",
        "AutoModelForImageSegmentation",
    ),
    "object-detection": ("AutoModelForObjectDetection",),
    "depth-estimation": ("AutoModelForDepthEstimation",),
    "zero-shot-image-classification": ("AutoModelForZeroShotImageClassification",),
    "automatic-speech-recognition": ("AutoModelForCTC", "AutoModelForSpeechSeq2Seq"),
    "audio-text-to-text": ("AutoModelForMultimodalLM",),
    "audio-classification": ("AutoModelForAudioClassification",),
    "video-classification": ("AutoModelForVideoClassification",),
}
"""Task: the classes of transformers that look for the architecture's head, in this order."""


def head(config: Any, task: str) -> type:
    """The class of the model: of the task where one is given, else the one that config.json names,
    else the base model. Raises InputError where the architecture has no such head."""
    import transformers

    if task and task not in TASKS:
        raise InputError(f"there is no task '{task}'", "tasks: " + ", ".join(TASKS))
    if not task:
        for name in config.architectures or ():
            if isinstance(named := getattr(transformers, name, None), type):
                return named
    for auto in TASKS[task or "feature-extraction"]:
        if found := _heads(config, auto):
            return found[0]
    possible = [name for name, autos in TASKS.items() if any(_heads(config, a) for a in autos)]
    raise InputError(
        f"transformers has no {config.model_type} for {task or 'feature-extraction'}",
        f"tasks of {config.model_type}: " + ", ".join(possible),
    )


def _heads(config: Any, auto: str) -> tuple[type, ...]:
    import transformers

    found = getattr(transformers, auto)._model_mapping.get(type(config), ())
    return found if isinstance(found, tuple) else (found,)
