#include "cliplens/decompose/store_info.h"

namespace cliplens {
namespace {

// A member of the image tower's configuration; nothing where the manifest does not tell, as those
// of older stores, whose models all pool the class token's row.
const Json* VisionMember(const Json& config, const char* name) {
  if (!config.is_object() || !config.contains("vision")) return nullptr;
  const Json& vision = config["vision"];
  return vision.is_object() && vision.contains(name) ? &vision[name] : nullptr;
}

}  // namespace

bool StoreInfo::has_class_token() const {
  const Json* has = VisionMember(model_config, "class_token");
  return has == nullptr || *has != false;
}

bool StoreInfo::pools_class_token() const {
  const Json* pooling = VisionMember(model_config, "pooling");
  return pooling == nullptr || *pooling == NameOf(Pooling::kToken);
}

}  // namespace cliplens
