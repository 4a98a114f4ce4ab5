"""Which head a task stands for."""

import pytest
import transformers

from exporters.huggingface.tasks import TASKS, head
from tests.exporters.huggingface.tiny import CONFIGS


@pytest.mark.parametrize("task", TASKS)
def test_every_task_names_classes_of_transformers(task: str) -> None:
    assert all(hasattr(transformers, auto) for auto in TASKS[task])


@pytest.mark.parametrize(
    ("name", "task", "expected"),
    [
        ("bert", "", "BertForMaskedLM"),  # what config.json names
        ("bert", "token-classification", "BertForTokenClassification"),
        ("gpt2", "text-generation", "GPT2LMHeadModel"),
        ("whisper", "automatic-speech-recognition", "WhisperForConditionalGeneration"),
        ("wav2vec2", "automatic-speech-recognition", "Wav2Vec2ForCTC"),
    ],
)
def test_the_head_is_the_tasks_or_the_one_that_the_config_names(
    name: str, task: str, expected: str
) -> None:
    assert head(CONFIGS[name](), task).__name__ == expected


def test_without_either_it_is_the_base_model() -> None:
    config = CONFIGS["bert"]()
    config.architectures = None
    assert head(config, "").__name__ == "BertModel"
