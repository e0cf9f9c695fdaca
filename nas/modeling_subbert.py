"""BERT whose layers may differ, and whose q, k and v may be wider or narrower than the network.

Written by subbert's `nas extract` for folders that transformers' own BERT cannot express; it needs
torch and transformers only, and the tensors have the names of transformers' BERT.
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    MaskedLMOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
)

BASE = {"heads": 12, "qkv": 768, "ffn": 3072}


class SubBertConfig(PretrainedConfig):
    """Sizes: `layers` has heads, qkv (their width in all) and ffn of each layer."""

    model_type = "subbert"

    def __init__(
        self,
        vocab_size=30522,
        hidden_size=768,
        layers=None,
        max_position_embeddings=512,
        type_vocab_size=2,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        classifier_dropout=None,
        initializer_range=0.02,
        layer_norm_eps=1e-12,
        pooler=True,
        pad_token_id=0,
        **kwargs,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.layers = [dict(x) for x in layers or [BASE] * 12]
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.classifier_dropout = classifier_dropout
        self.initializer_range = initializer_range
        self.layer_norm_eps = layer_norm_eps
        self.pooler = pooler
        # for tools that ask BERT for one number: the largest
        self.num_hidden_layers = len(self.layers)
        self.num_attention_heads = max(x["heads"] for x in self.layers)
        self.intermediate_size = max(x["ffn"] for x in self.layers)
        for name in ("num_hidden_layers", "num_attention_heads", "intermediate_size"):
            kwargs.pop(name, None)
        super().__init__(pad_token_id=pad_token_id, **kwargs)


class Embeddings(nn.Module):
    """What a token is, where it stands and which sentence it belongs to, in one vector."""

    def __init__(self, config):
        super().__init__()
        hidden = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, hidden)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, hidden)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids, token_type_ids, position_ids, inputs_embeds):  # -> (B, T, hidden)
        words = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        tokens = words.shape[1]
        if position_ids is None:
            position_ids = torch.arange(tokens, device=words.device)[None]
        if token_type_ids is None:
            token_type_ids = torch.zeros(words.shape[:2], dtype=torch.long, device=words.device)
        x = words + self.token_type_embeddings(token_type_ids)
        return self.dropout(self.LayerNorm(x + self.position_embeddings(position_ids)))


class SelfAttention(nn.Module):
    """Every token looks at every token that is not padding."""

    def __init__(self, config, sizes):
        super().__init__()
        self.heads = sizes["heads"]
        self.query = nn.Linear(config.hidden_size, sizes["qkv"])
        self.key = nn.Linear(config.hidden_size, sizes["qkv"])
        self.value = nn.Linear(config.hidden_size, sizes["qkv"])
        self.dropout = config.attention_probs_dropout_prob

    def forward(self, x, mask, show):  # -> (B, T, qkv), (B, heads, T, T) or None
        q, k, v = (self.split(part(x)) for part in (self.query, self.key, self.value))
        dropout = self.dropout if self.training else 0.0
        if not show:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
            return y.transpose(1, 2).flatten(2), None
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        seen = (scores if mask is None else scores + mask).softmax(-1)
        y = F.dropout(seen, dropout) @ v  # (B, heads, T, width)
        return y.transpose(1, 2).flatten(2), seen

    def split(self, x):  # (B, T, qkv) -> (B, heads, T, width)
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)


class AddedOutput(nn.Module):
    """A linear layer whose answer is added to what the half of the layer began with."""

    def __init__(self, config, width):
        super().__init__()
        self.dense = nn.Linear(width, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, y, x):  # (B, T, width), (B, T, hidden) -> (B, T, hidden)
        return self.LayerNorm(self.dropout(self.dense(y)) + x)


class Layer(nn.Module):
    """One transformer layer, normalised after each half as BERT is."""

    def __init__(self, config, sizes):
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": SelfAttention(config, sizes), "output": AddedOutput(config, sizes["qkv"])}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(config.hidden_size, sizes["ffn"])})
        self.output = AddedOutput(config, sizes["ffn"])

    def forward(self, x, mask, show):  # -> (B, T, hidden), (B, heads, T, T) or None
        y, seen = self.attention["self"](x, mask, show)
        x = self.attention["output"](y, x)
        return self.output(F.gelu(self.intermediate["dense"](x)), x), seen


class SubBertPreTrainedModel(PreTrainedModel):
    """What all of them share."""

    config_class = SubBertConfig
    base_model_prefix = "bert"
    _no_split_modules = ["Layer", "Embeddings"]
    _supports_sdpa = True

    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, Predictions):
            nn.init.zeros_(module.bias)


class SubBertModel(SubBertPreTrainedModel):
    """The encoder."""

    def __init__(self, config, add_pooling_layer=None):
        super().__init__(config)
        self.embeddings = Embeddings(config)
        layers = nn.ModuleList(Layer(config, sizes) for sizes in config.layers)
        self.encoder = nn.ModuleDict({"layer": layers})
        pooled = config.pooler if add_pooling_layer is None else add_pooling_layer
        hidden = config.hidden_size
        self.pooler = nn.ModuleDict({"dense": nn.Linear(hidden, hidden)}) if pooled else None
        self.post_init()

    def get_input_embeddings(self):
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value):
        self.embeddings.word_embeddings = value

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        inputs_embeds=None,
        output_attentions=None,
        output_hidden_states=None,
        return_dict=None,
        **_,
    ):
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        told = self.config
        show = told.output_attentions if output_attentions is None else output_attentions
        keep = told.output_hidden_states if output_hidden_states is None else output_hidden_states
        x = self.embeddings(input_ids, token_type_ids, position_ids, inputs_embeds)
        mask = None
        if attention_mask is not None:
            there = attention_mask[:, None, None, :].to(x.dtype)
            mask = (1 - there) * torch.finfo(x.dtype).min
        states, attentions = [x], []
        for layer in self.encoder["layer"]:
            x, seen = layer(x, mask, show)
            states.append(x)
            attentions.append(seen)
        out = BaseModelOutputWithPooling(
            last_hidden_state=x,
            pooler_output=self.pool(x),
            hidden_states=tuple(states) if keep else None,
            attentions=tuple(attentions) if show else None,
        )
        return answer(self.config, return_dict, out)

    def pool(self, x):  # (B, T, hidden) -> (B, hidden)
        return None if self.pooler is None else torch.tanh(self.pooler["dense"](x[:, 0]))


class SubBertForSequenceClassification(SubBertPreTrainedModel):
    """Classes or scores, from the pooled first token."""

    def __init__(self, config):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = SubBertModel(config, add_pooling_layer=True)
        self.dropout = nn.Dropout(dropout_of(config))
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids=None, labels=None, return_dict=None, **inputs):
        seen = self.bert(input_ids, return_dict=True, **inputs)
        logits = self.classifier(self.dropout(seen.pooler_output))
        loss = None if labels is None else self.loss(logits, labels)
        out = SequenceClassifierOutput(loss, logits, seen.hidden_states, seen.attentions)
        return answer(self.config, return_dict, out)

    def loss(self, logits, labels):
        kind = self.config.problem_type
        if kind is None and self.num_labels > 1:
            whole = labels.dtype in (torch.long, torch.int)
            kind = "single_label_classification" if whole else "multi_label_classification"
        if kind == "single_label_classification":
            return F.cross_entropy(logits, labels.view(-1))
        if kind == "multi_label_classification":
            return F.binary_cross_entropy_with_logits(logits, labels)
        return F.mse_loss(logits.squeeze(), labels.squeeze().to(logits.dtype))


class SubBertForQuestionAnswering(SubBertPreTrainedModel):
    """Where an answer starts and where it ends."""

    def __init__(self, config):
        super().__init__(config)
        self.bert = SubBertModel(config, add_pooling_layer=False)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    def forward(
        self,
        input_ids=None,
        start_positions=None,
        end_positions=None,
        return_dict=None,
        **inputs,
    ):
        seen = self.bert(input_ids, return_dict=True, **inputs)
        start, end = self.qa_outputs(seen.last_hidden_state).unbind(-1)  # (B, T) each
        loss = None
        if start_positions is not None and end_positions is not None:
            places = zip((start, end), (start_positions, end_positions), strict=True)
            loss = sum(self.loss(logits, place) for logits, place in places) / 2
        out = QuestionAnsweringModelOutput(loss, start, end, seen.hidden_states, seen.attentions)
        return answer(self.config, return_dict, out)

    @staticmethod
    def loss(logits, places):  # an answer outside the text teaches nothing
        outside = logits.shape[1]
        places = places.view(-1).clamp(0, outside)
        return F.cross_entropy(logits, places, ignore_index=outside)


class Transform(nn.Module):
    """What stands before the table of words."""

    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x):  # (B, T, hidden) -> (B, T, hidden)
        return self.LayerNorm(F.gelu(self.dense(x)))


class Predictions(nn.Module):
    """Hidden words, by the table of words turned round: nothing is tied, it is one tensor."""

    def __init__(self, config):
        super().__init__()
        self.transform = Transform(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, x, words):  # (B, T, hidden), (V, hidden) -> (B, T, V)
        return F.linear(self.transform(x), words, self.bias)


class SubBertForMaskedLM(SubBertPreTrainedModel):
    """Hidden words."""

    def __init__(self, config):
        super().__init__(config)
        self.bert = SubBertModel(config, add_pooling_layer=False)
        self.cls = nn.ModuleDict({"predictions": Predictions(config)})
        self.post_init()

    def forward(self, input_ids=None, labels=None, return_dict=None, **inputs):
        seen = self.bert(input_ids, return_dict=True, **inputs)
        words = self.bert.get_input_embeddings().weight
        logits = self.cls["predictions"](seen.last_hidden_state, words)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits.flatten(0, 1), labels.view(-1))
        out = MaskedLMOutput(loss, logits, seen.hidden_states, seen.attentions)
        return answer(self.config, return_dict, out)


def dropout_of(config):
    """Before the classifier."""
    given = config.classifier_dropout
    return config.hidden_dropout_prob if given is None else given


def answer(config, return_dict, out):
    """As an object with names, or as a tuple."""
    named = getattr(config, "return_dict", True) if return_dict is None else return_dict
    return out if named else out.to_tuple()
