// The kinds of picture sets behind OpenImageSet, one source file each. Each Is... looks at names of
// files only; each Open... throws as OpenImageSet does.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/picture_files.h"

namespace cliplens {

// Pictures in files, one or a folder of them: those of the listing, relative to `folder`.
std::unique_ptr<ImageSet> OpenPictureFiles(std::string kind, const std::filesystem::path& root,
                                           const std::filesystem::path& folder, Listing listing,
                                           const ImageSetOptions& options);

// `tars` are relative to `folder` and sorted; `left_out` is what else lies there.
std::unique_ptr<ImageSet> OpenWebDataset(const std::filesystem::path& root,
                                         const std::filesystem::path& folder,
                                         const std::vector<std::string>& tars, LeftOut left_out,
                                         OnError on_error);

// A .csv, .tsv, .jsonl or .parquet file.
std::unique_ptr<ImageSet> OpenTable(const std::filesystem::path& file,
                                    const ImageSetOptions& options);

// metadata.csv with columns img_filename, y, split and place.
bool IsWaterbirds(const std::filesystem::path& root);
std::unique_ptr<ImageSet> OpenWaterbirds(const std::filesystem::path& root,
                                         const std::string& split);

// images.txt with image_class_labels.txt or classes.txt.
bool IsCub(const std::filesystem::path& root);
std::unique_ptr<ImageSet> OpenCub(const std::filesystem::path& root, const std::string& split);

// img_align_celeba with list_attr_celeba and list_eval_partition.
bool IsCeleba(const std::filesystem::path& root);
std::unique_ptr<ImageSet> OpenCeleba(const std::filesystem::path& root, const std::string& split);

// The ground truth or the devkit of ILSVRC2012, or a folder `val` of folders named by WordNet ids.
bool IsImagenet(const std::filesystem::path& root);
std::unique_ptr<ImageSet> OpenImagenet(const std::filesystem::path& root, const std::string& split);

// The binary archives, unpacked; OpenCifar reads the .tar.gz, too.
bool IsCifar(const std::filesystem::path& root);
std::unique_ptr<ImageSet> OpenCifar(const std::filesystem::path& root, const std::string& split);

// JPEGImages with SegmentationClass, SegmentationObject or ImageSets/Segmentation.
bool IsPascal(const std::filesystem::path& root);
std::unique_ptr<ImageSet> OpenPascal(const std::filesystem::path& root, const std::string& split);

// A .mat file laid out as gtsegs_ijcv.mat.
std::unique_ptr<ImageSet> OpenImagenetSegmentation(const std::filesystem::path& file);

}  // namespace cliplens
