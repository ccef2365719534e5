#include "cliplens/model/preprocess_config.h"

#include <array>
#include <set>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/config_reader.h"

namespace cliplens {
namespace {

// A size as transformers reads it: one number, [height, width] or an object.
struct Size {
  Index shortest = 0;  // else both of these
  Index height = 0;
  Index width = 0;
};

Size ReadSize(ConfigReader& reader, const char* key, Size fallback, bool number_is_square) {
  if (!reader.Has(key)) return fallback;
  const Json& value = reader.json(key);
  Size size;
  if (value.is_array()) {
    if (value.size() != 2) {
      throw Error(ErrorCode::kCorruptData, "{}: '{}' is {}, a height and a width were expected",
                  reader.name(), key, JsonExcerpt(value));
    }
    const Json sides = {{"height", value[0]}, {"width", value[1]}};
    ConfigReader side(sides, reader.name() + ": " + key);
    size.height = side.Integer("height", 0, 1, kMaxImageSize);
    size.width = side.Integer("width", 0, 1, kMaxImageSize);
  } else if (value.is_object()) {
    ConfigReader side(value, reader.name() + ": " + key);
    size.shortest = side.Integer("shortest_edge", 0, 1, kMaxImageSize);
    size.height = side.Integer("height", 0, 1, kMaxImageSize);
    size.width = side.Integer("width", 0, 1, kMaxImageSize);
    side.Finish({});
  } else {
    const Index n = reader.Integer(key, 0, 1, kMaxImageSize);
    if (number_is_square) {
      size.height = size.width = n;
    } else {
      size.shortest = n;
    }
  }
  const bool one = size.shortest != 0 && size.height == 0 && size.width == 0;
  const bool two = size.shortest == 0 && size.height != 0 && size.width != 0;
  if (!one && !two) {
    throw Error(ErrorCode::kUnsupported,
                "{}: '{}' is {}; a \"shortest_edge\" or a \"height\" and a \"width\" are supported",
                reader.name(), key, JsonExcerpt(value));
  }
  return size;
}

// One number for all channels, or three.
std::array<float, 3> ReadChannels(ConfigReader& reader, const char* key,
                                  std::array<float, 3> fallback, bool positive) {
  if (reader.Has(key) && reader.json(key).is_number()) {
    const Json& one = reader.json(key);
    const Json three = {{key, {one, one, one}}};
    return ConfigReader(three, reader.name()).Channels(key, fallback, positive);
  }
  return reader.Channels(key, fallback, positive);
}

// The same as open_clip reads it: nothing, 0 and an empty list stand for the default, and a list of
// one number for all channels.
std::array<float, 3> ReadOpenClipChannels(ConfigReader& reader, const char* key,
                                          std::array<float, 3> fallback, bool positive) {
  if (!reader.Has(key)) return fallback;
  const Json& value = reader.json(key);
  if (value == 0 || value == Json::array()) return fallback;
  if (!value.is_array() || value.size() != 1) return ReadChannels(reader, key, fallback, positive);
  const Json one = {{key, value[0]}};
  ConfigReader inner(one, reader.name());
  return ReadChannels(inner, key, fallback, positive);
}

// One number for all channels, or a list of one or three.
std::array<std::uint8_t, 3> ReadFillColor(ConfigReader& reader) {
  std::array<std::uint8_t, 3> color{};
  if (!reader.Has("fill_color")) return color;
  const Json& value = reader.json("fill_color");
  const Json list = value.is_array() ? value : Json::array({value});
  bool good = list.size() == 1 || list.size() == 3;
  for (std::size_t i = 0; good && i < color.size(); ++i) {
    const Json& channel = list[list.size() == 1 ? 0 : i];
    good = channel.is_number() && channel.get<double>() >= 0 && channel.get<double>() < 256;
    if (good) color[i] = static_cast<std::uint8_t>(channel.get<double>());
  }
  if (!good) {
    throw Error(ErrorCode::kCorruptData,
                "{}: 'fill_color' is {}, one number or three from 0 to 255 were expected",
                reader.name(), JsonExcerpt(value));
  }
  return color;
}

Interpolation ReadResample(ConfigReader& reader) {
  constexpr int kBilinear = 2;
  constexpr int kBicubic = 3;
  constexpr const char* kNames[] = {"nearest", "Lanczos", "bilinear", "bicubic", "box", "Hamming"};
  const Index resample = reader.Integer("resample", kBicubic, 0, 5);
  if (resample != kBilinear && resample != kBicubic) {
    throw Error(ErrorCode::kUnsupported,
                "{}: 'resample' is {} ({}); 3 (bicubic) and 2 (bilinear) are supported",
                reader.name(), resample, kNames[resample]);
  }
  return resample == kBicubic ? Interpolation::kBicubic : Interpolation::kBilinear;
}

// Whether the file is of SigLIP's class, whose defaults are others than those of CLIP's.
bool IsSiglip(ConfigReader& reader) {
  bool siglip = false;
  for (const char* key : {"image_processor_type", "feature_extractor_type"}) {
    static const std::set<std::string> kTypes = {"CLIPImageProcessor", "CLIPImageProcessorFast",
                                                 "CLIPImageProcessorPil", "CLIPFeatureExtractor"};
    static const std::set<std::string> kSiglip = {
        "SiglipImageProcessor", "SiglipImageProcessorFast", "SiglipImageProcessorPil"};
    const std::string type = reader.Text(key, "CLIPImageProcessor");
    if (kSiglip.contains(type)) {
      siglip = true;
    } else if (!kTypes.contains(type)) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: '{}' is '{}'; CLIPImageProcessor and SiglipImageProcessor are supported",
                  reader.name(), key, Printable(type, 80));
    }
  }
  return siglip;
}

}  // namespace

void ReadOpenClipPreprocess(ConfigReader& pre, PreprocessConfig& config) {
  config.mean = ReadOpenClipChannels(pre, "mean", config.mean, false);
  config.std = ReadOpenClipChannels(pre, "std", config.std, true);
  const std::string interpolation = pre.Text("interpolation", "bicubic");
  if (interpolation == "bilinear") {
    config.interpolation = Interpolation::kBilinear;
  } else if (interpolation != "bicubic") {
    throw Error(ErrorCode::kUnsupported,
                "{}: 'interpolation' is '{}'; bicubic and bilinear are supported", pre.name(),
                Printable(interpolation, 80));
  }
  const std::string mode = pre.Text("resize_mode", "shortest");
  if (mode == "squash") {
    config.resize_mode = ResizeMode::kSquash;
  } else if (mode == "longest") {
    config.resize_mode = ResizeMode::kLongest;
  } else if (mode != "shortest") {
    throw Error(ErrorCode::kUnsupported,
                "{}: 'resize_mode' is '{}'; shortest, squash and longest are supported", pre.name(),
                Printable(mode, 80));
  }
  config.fill_color = ReadFillColor(pre);
  pre.Only("mode", "RGB");
  const Index size = pre.Square("size", config.image_size, kMaxImageSize);
  if (size != config.image_size) {
    throw Error(ErrorCode::kCorruptData, "{}: 'size' is {}, the vision tower reads {}", pre.name(),
                size, config.image_size);
  }
  pre.Finish({});
}

PreprocessConfig ParseHuggingFacePreprocessor(const Json& file, const std::string& name) {
  ConfigReader reader(file, name);
  const bool siglip = IsSiglip(reader);
  PreprocessConfig config;
  config.rule = PreprocessRule::kHuggingFace;
  if (siglip) config.mean = config.std = {0.5f, 0.5f, 0.5f};
  config.interpolation = ReadResample(reader);
  reader.Only("do_convert_rgb", true);
  reader.Only("do_pad", false);

  const bool square =
      reader.Bool("default_to_square", false) || reader.Bool("use_square_size", false);
  const Size whole = {.height = 224, .width = 224};
  const Size size = ReadSize(reader, "size", siglip ? whole : Size{.shortest = 224}, square);
  const Size crop = ReadSize(reader, "crop_size", {.height = 224, .width = 224}, true);
  const bool resize = reader.Bool("do_resize", true);
  const bool cut = reader.Bool("do_center_crop", !siglip);
  if (resize && size.shortest == 0 && size.height != size.width) {
    throw Error(ErrorCode::kUnsupported,
                "{}: 'size' is {} by {}; only square pictures are supported", name, size.height,
                size.width);
  }
  config.resize_mode = !resize              ? ResizeMode::kNone
                       : size.shortest != 0 ? ResizeMode::kShortest
                                            : ResizeMode::kSquash;
  const Index side = size.shortest != 0 ? size.shortest : size.height;
  if (cut) {
    if (crop.shortest != 0 || crop.height != crop.width) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: 'crop_size' is {}; only square pictures are supported", name,
                  JsonExcerpt(reader.json("crop_size")));
    }
    config.image_size = crop.height;
  } else {
    if (config.resize_mode != ResizeMode::kSquash) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: 'do_center_crop' is false, and 'size' makes no square of a picture; only "
                  "square pictures are supported",
                  name);
    }
    config.image_size = side;
  }
  if (resize) config.resize_size = side;

  config.rescale_factor = reader.Number("rescale_factor", 1.0 / 255.0);
  if (!reader.Bool("do_rescale", true)) config.rescale_factor = 1.0;
  config.mean = ReadChannels(reader, "image_mean", config.mean, false);
  config.std = ReadChannels(reader, "image_std", config.std, true);
  if (!reader.Bool("do_normalize", true)) {
    config.mean = {0.0f, 0.0f, 0.0f};
    config.std = {1.0f, 1.0f, 1.0f};
  }
  // Where files come from, and how batches are put together and handed back.
  reader.Finish({"processor_class", "auto_map", "data_format", "input_data_format", "device",
                 "return_tensors", "disable_grouping", "image_seq_length", "pad_size",
                 "_valid_processor_keys", "_processor_class", "transformers_version"});
  return config;
}

Json ToJson(const PreprocessConfig& config) {
  constexpr const char* kResizeModes[] = {"shortest", "squash", "longest", "none"};
  const bool hugging_face = config.rule == PreprocessRule::kHuggingFace;
  Json json = {
      {"rule", hugging_face ? "hugging_face" : "open_clip"},
      {"mean", config.mean},
      {"std", config.std},
      {"rescale_factor", hugging_face ? config.rescale_factor : 1.0 / 255.0},
      {"interpolation", config.interpolation == Interpolation::kBicubic ? "bicubic" : "bilinear"},
      {"resize_mode", kResizeModes[static_cast<int>(config.resize_mode)]},
      {"resize_size",
       hugging_face && config.resize_size != 0 ? config.resize_size : config.image_size},
      {"fill_color", config.fill_color}};
  if (config.backend != ResizeBackend::kPillow) json["resize_backend"] = NameOf(config.backend);
  return json;
}

}  // namespace cliplens
