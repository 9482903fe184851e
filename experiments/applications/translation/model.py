"""The network of a config."""

from experiments.applications.translation.config import TranslationConfig
from experiments.applications.translation.data import Translations
from lm.models.decoder import build_decoder
from lm.models.encoder_decoder import EncoderDecoder, join
from lm.models.encoders import sentence_encoder


def model_of(config: TranslationConfig, known: Translations) -> EncoderDecoder:
    """Encoder and decoder over the two vocabularies."""
    model = config.model
    sources, targets = (vocabulary.size for vocabulary in known.vocabularies)
    encoder, width = sentence_encoder(model, sources)
    decoder = build_decoder(model, targets, width, width, model.attention, model.score)
    return join(encoder, decoder, model.smoothing, own=config.data.own > 0)
