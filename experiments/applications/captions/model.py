"""The network of a config."""

from data_pipeline.scenes import vocabulary
from experiments.applications.captions.config import CaptionsConfig
from lm.models.decoder import build_decoder
from lm.models.encoder_decoder import EncoderDecoder, join
from lm.models.pictures import picture_encoder


def model_of(config: CaptionsConfig) -> EncoderDecoder:
    """Convolutions before a decoder."""
    model = config.model
    encoder, memory, summary = picture_encoder(model.channels, config.data.grid.shape)
    looks = model.attention, model.score
    decoder = build_decoder(model, vocabulary().size, memory, summary, *looks)
    return join(encoder, decoder, model.smoothing)
