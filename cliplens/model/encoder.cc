#include "cliplens/model/encoder.h"

namespace cliplens {

void EmbedPooled(const Readout& readout, const EncodeOutput& encoded,
                 ArrayView<float, 2> embeddings) {
  for (Index g = 0; g < encoded.pooled.dim(0); ++g) {
    const ReadoutScale scale = readout.Embed(encoded.pooled.row(g), embeddings.row(g));
    if (encoded.captures.empty()) continue;
    // An attention pool has set the rest of it.
    ReadoutScale& of_item = At(encoded.captures, g).scale;
    of_item.mean = scale.mean;
    of_item.sigma = scale.sigma;
    of_item.norm = scale.norm;
  }
}

void ImageEncoder::EmbedImages(std::span<const Array<float, 3>> pixels,
                               ArrayView<float, 2> embeddings, Workspace& workspace,
                               const CaptureRequest& request, std::span<Captures> captures) const {
  const auto count = static_cast<Index>(pixels.size());
  const Index width = image_readout().pooled_width();
  const EncodeOutput output{{workspace.rows.Grow(count * width), {count, width}}, captures};
  Encode(pixels, request, output, workspace);
  EmbedPooled(image_readout(), output, embeddings);
}

}  // namespace cliplens
