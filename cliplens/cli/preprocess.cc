// cliplens preprocess MODEL --image F --out x.npy
#include "cliplens/model/preprocess.h"

#include <fmt/format.h>

#include "cliplens/app/models.h"
#include "cliplens/app/pictures.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/image.h"
#include "cliplens/io/npy.h"
#include "cliplens/io/output_files.h"
#include "cliplens/report/model_report.h"

namespace cliplens::cli {
namespace {

struct PreprocessArguments {
  ModelChoice model;
  std::string image;
  std::string out;
  bool exif_orientation = false;
};

void Run(const PreprocessArguments& options, const Common& common) {
  const PreprocessConfig config = PreprocessOf(options.model);
  RefuseExisting(options.out);
  const Image image = ReadPicture(options.image, config, options.exif_orientation);
  WarnOfOriented(OrientedIn(image));
  const Array<float, 3> pixels = Preprocess(image, config);
  WriteNpy(options.out, pixels.flat(), pixels.shape());
  if (common.json) return PrintJson(PixelsJson(image, options.image, pixels, options.out));
  Print(fmt::format("{}: {} x {} to [3, {}, {}] in {}\n", options.image, image.width, image.height,
                    pixels.dim(1), pixels.dim(2), options.out));
}

}  // namespace

void AddPreprocess(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<PreprocessArguments>(
      app, common, "preprocess", "The tensor that the model reads, [3, S, S]",
      "cliplens preprocess pictureworld --image cat.jpg --out cat.npy");
  AddModelArgument(verb, options->model);
  verb->add_option("--image", options->image, "The picture")->required();
  AddExifOption(verb, options->exif_orientation);
  verb->add_option("--out", options->out, "float32 .npy file to write")->required();
}

}  // namespace cliplens::cli
