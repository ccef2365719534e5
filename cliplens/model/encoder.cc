#include "cliplens/model/encoder.h"

namespace cliplens {

void EmbedPooled(const Readout& readout, const EncodeOutput& encoded,
                 ArrayView<float, 2> embeddings) {
  for (Index g = 0; g < encoded.pooled.dim(0); ++g) {
    const ReadoutScale scale = readout.Embed(encoded.pooled.row(g), embeddings.row(g));
    if (!encoded.captures.empty()) At(encoded.captures, g).scale = scale;
  }
}

void ImageEncoder::EmbedImages(std::span<const Array<float, 3>> pixels,
                               ArrayView<float, 2> embeddings, Workspace& workspace,
                               const CaptureRequest& request, std::span<Captures> captures) const {
  const auto count = static_cast<Index>(pixels.size());
  const Index width = image_readout().config().width;
  const EncodeOutput output{{workspace.rows.Grow(count * width), {count, width}}, captures};
  Encode(pixels, request, output, workspace);
  EmbedPooled(image_readout(), output, embeddings);
}

}  // namespace cliplens
