// Position embeddings for pictures of another size than a model was trained on.
//
//   const Array<float, 2> larger = ResizePositions(positions, layout, /*grid=*/24);
#pragma once

#include "cliplens/base/array.h"
#include "cliplens/model/config.h"

namespace cliplens {

// positions [layout.tokens(), D] to [prefix + grid², D]: the prefix as it is, the patches' as
// pictures of D channels that are resized. Bicubic (a = −0.5) with antialiasing, as open_clip does
// through PyTorch's interpolate(mode="bicubic", antialias=True); in fp64.
Array<float, 2> ResizePositions(ArrayView<const float, 2> positions, const TokenLayout& layout,
                                Index grid);

}  // namespace cliplens
