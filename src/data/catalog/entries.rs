//! The entries of the catalog.

use super::entry::{Contents, Entry, RemoteFile};
use crate::data::{DatasetName, PictureKind, Preparation};

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte.gz";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte.gz";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte.gz";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte.gz";
const TEN_DIGITS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

const BY_CLASS: &[&str] = &[
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "E", "F", "G", "H", "I",
    "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z", "a", "b",
    "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u",
    "v", "w", "x", "y", "z",
];
/// The letters whose upper and lower case look alike are one class each, under the upper case.
const MERGED: &[&str] = &[
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "E", "F", "G", "H", "I",
    "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z", "a", "b",
    "d", "e", "f", "g", "h", "n", "q", "r", "t",
];
const LETTERS: &[&str] = BY_CLASS.split_at(10).1.split_at(26).0;

const CIFAR_100: &[&str] = &[
    "apple",
    "aquarium_fish",
    "baby",
    "bear",
    "beaver",
    "bed",
    "bee",
    "beetle",
    "bicycle",
    "bottle",
    "bowl",
    "boy",
    "bridge",
    "bus",
    "butterfly",
    "camel",
    "can",
    "castle",
    "caterpillar",
    "cattle",
    "chair",
    "chimpanzee",
    "clock",
    "cloud",
    "cockroach",
    "couch",
    "crab",
    "crocodile",
    "cup",
    "dinosaur",
    "dolphin",
    "elephant",
    "flatfish",
    "forest",
    "fox",
    "girl",
    "hamster",
    "house",
    "kangaroo",
    "keyboard",
    "lamp",
    "lawn_mower",
    "leopard",
    "lion",
    "lizard",
    "lobster",
    "man",
    "maple_tree",
    "motorcycle",
    "mountain",
    "mouse",
    "mushroom",
    "oak_tree",
    "orange",
    "orchid",
    "otter",
    "palm_tree",
    "pear",
    "pickup_truck",
    "pine_tree",
    "plain",
    "plate",
    "poppy",
    "porcupine",
    "possum",
    "rabbit",
    "raccoon",
    "ray",
    "road",
    "rocket",
    "rose",
    "sea",
    "seal",
    "shark",
    "shrew",
    "skunk",
    "skyscraper",
    "snail",
    "snake",
    "spider",
    "squirrel",
    "streetcar",
    "sunflower",
    "sweet_pepper",
    "table",
    "tank",
    "telephone",
    "television",
    "tiger",
    "tractor",
    "train",
    "trout",
    "tulip",
    "turtle",
    "wardrobe",
    "whale",
    "willow_tree",
    "wolf",
    "woman",
    "worm",
];

const fn file(name: &'static str, bytes: u64, sha256: &'static str) -> RemoteFile<'static> {
    RemoteFile { name, bytes, sha256, contents: None }
}

const fn holding(
    file: RemoteFile<'static>,
    bytes: u64,
    sha256: &'static str,
) -> RemoteFile<'static> {
    RemoteFile { contents: Some(Contents { bytes, sha256 }), ..file }
}

/// The archive of all sets of EMNIST. It was not at hand when this was written: length and SHA-256 are those that
/// TensorFlow Datasets publishes for the second of its mirrors, which now leads to a page of HTML.
const EMNIST: &[RemoteFile<'static>] = &[file(
    "gzip.zip",
    561_753_746,
    "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
)];

/// Returns the entry of a set of EMNIST.
const fn emnist(
    name: DatasetName,
    title: &'static str,
    pictures: PictureKind,
    classes: &'static [&'static str],
    samples: [usize; 2],
) -> Entry {
    Entry {
        name,
        title,
        pictures,
        licence: "none stated",
        attribution: "Gregory Cohen, Saeed Afshar, Jonathan Tapson and André van Schaik, EMNIST: an extension of MNIST \
                      to handwritten letters, 2017, https://www.nist.gov/itl/products-and-services/emnist-dataset",
        classes,
        image_shape: [28, 28],
        color: false,
        // Single drawn signs, a little larger in their images than MNIST's.
        preparation: Preparation::Digit,
        samples,
        mirrors: &[
            "https://biometrics.nist.gov/cs_links/EMNIST/",
            "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
        ],
        files: EMNIST,
    }
}

/// In the order of [`DatasetName`]. Lengths and SHA-256 of the .gz files are those that TensorFlow
/// Datasets publishes, also for CIFAR; those of the contents of MNIST and Fashion-MNIST were computed, the latter from Debian's
/// package.
pub(super) static ENTRIES: [Entry; 12] = [
    Entry {
        name: DatasetName::Mnist,
        title: "MNIST, handwritten digits",
        pictures: PictureKind::Digits,
        licence: "CC BY-SA 3.0",
        attribution: "Yann LeCun, Corinna Cortes and Christopher J. C. Burges; LeCun, Bottou, \
                      Bengio and Haffner, Gradient-based learning applied to document \
                      recognition, 1998, http://yann.lecun.com/exdb/mnist/",
        classes: TEN_DIGITS,
        image_shape: [28, 28],
        color: false,
        preparation: Preparation::Digit,
        samples: [60_000, 10_000],
        mirrors: &[
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ],
        files: &[
            holding(
                file(
                    TRAIN_IMAGES,
                    9_912_422,
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                ),
                47_040_016,
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            holding(
                file(
                    TRAIN_LABELS,
                    28_881,
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                ),
                60_008,
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            holding(
                file(
                    TEST_IMAGES,
                    1_648_877,
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
                7_840_016,
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            holding(
                file(
                    TEST_LABELS,
                    4_542,
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
                10_008,
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ],
    },
    Entry {
        name: DatasetName::FashionMnist,
        title: "Fashion-MNIST, articles of clothing",
        pictures: PictureKind::Clothes,
        licence: "MIT",
        attribution: "Zalando SE; Xiao, Rasul and Vollgraf, Fashion-MNIST: a novel image dataset \
                      for benchmarking machine learning algorithms, 2017, \
                      https://github.com/zalandoresearch/fashion-mnist",
        classes: &[
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ],
        image_shape: [28, 28],
        color: false,
        preparation: Preparation::Raw,
        samples: [60_000, 10_000],
        // The authors' own host does not support https: it is tried last, and its files are checked like
        // all others.
        mirrors: &[
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ],
        files: &[
            holding(
                file(
                    TRAIN_IMAGES,
                    26_421_880,
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                47_040_016,
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            holding(
                file(
                    TRAIN_LABELS,
                    29_515,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
                60_008,
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            holding(
                file(
                    TEST_IMAGES,
                    4_422_102,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                7_840_016,
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            holding(
                file(
                    TEST_LABELS,
                    5_148,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
                10_008,
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ],
    },
    Entry {
        name: DatasetName::Kmnist,
        title: "Kuzushiji-MNIST, cursive Japanese characters",
        pictures: PictureKind::Characters,
        licence: "CC BY-SA 4.0",
        attribution: "KMNIST Dataset, created by CODH, adapted from the Kuzushiji Dataset created \
                      by NIJL and others, doi:10.20676/00000341; Clanuwat and others, Deep \
                      learning for classical Japanese literature, 2018, \
                      http://codh.rois.ac.jp/kmnist/",
        classes: &[
            "o (お)",
            "ki (き)",
            "su (す)",
            "tsu (つ)",
            "na (な)",
            "ha (は)",
            "ma (ま)",
            "ya (や)",
            "re (れ)",
            "wo (を)",
        ],
        image_shape: [28, 28],
        color: false,
        preparation: Preparation::Raw,
        samples: [60_000, 10_000],
        mirrors: &["https://codh.rois.ac.jp/kmnist/dataset/kmnist/"],
        files: &[
            file(
                TRAIN_IMAGES,
                18_165_135,
                "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            ),
            file(
                TRAIN_LABELS,
                29_497,
                "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            ),
            file(
                TEST_IMAGES,
                3_041_136,
                "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            ),
            file(
                TEST_LABELS,
                5_120,
                "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            ),
        ],
    },
    Entry {
        name: DatasetName::Digits,
        title: "Optical recognition of handwritten digits, built in",
        pictures: PictureKind::Digits,
        licence: "CC BY 4.0",
        attribution: "E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository, \
                      doi:10.24432/C50P49; the copy in scikit-learn, with values from 0 to 255",
        classes: TEN_DIGITS,
        image_shape: [8, 8],
        color: false,
        preparation: Preparation::Digit,
        samples: [1_437, 360],
        mirrors: &[],
        files: &[],
    },
    Entry {
        name: DatasetName::Cifar10,
        title: "CIFAR-10, small photographs in color",
        pictures: PictureKind::Photos,
        licence: "none stated",
        attribution: "Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, \
                      https://www.cs.toronto.edu/~kriz/cifar.html",
        classes: &[
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ],
        image_shape: [32, 32],
        color: true,
        preparation: Preparation::Resize,
        samples: [50_000, 10_000],
        mirrors: &["https://www.cs.toronto.edu/~kriz/"],
        files: &[file(
            "cifar-10-binary.tar.gz",
            170_052_171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        )],
    },
    Entry {
        name: DatasetName::Cifar100,
        title: "CIFAR-100, small photographs in color of 100 classes",
        pictures: PictureKind::Photos,
        licence: "none stated",
        attribution: "Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, \
                      https://www.cs.toronto.edu/~kriz/cifar.html",
        classes: CIFAR_100,
        image_shape: [32, 32],
        color: true,
        preparation: Preparation::Resize,
        samples: [50_000, 10_000],
        mirrors: &["https://www.cs.toronto.edu/~kriz/"],
        files: &[file(
            "cifar-100-binary.tar.gz",
            168_513_733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        )],
    },
    emnist(
        DatasetName::EmnistBalanced,
        "EMNIST balanced, handwritten digits and letters of 47 balanced classes",
        PictureKind::Characters,
        MERGED,
        [112_800, 18_800],
    ),
    emnist(
        DatasetName::EmnistByClass,
        "EMNIST by class, handwritten digits and letters of 62 classes",
        PictureKind::Characters,
        BY_CLASS,
        [697_932, 116_323],
    ),
    emnist(
        DatasetName::EmnistByMerge,
        "EMNIST by merge, handwritten digits and letters of 47 classes",
        PictureKind::Characters,
        MERGED,
        [697_932, 116_323],
    ),
    emnist(
        DatasetName::EmnistDigits,
        "EMNIST digits, handwritten digits",
        PictureKind::Digits,
        TEN_DIGITS,
        [240_000, 40_000],
    ),
    emnist(
        DatasetName::EmnistLetters,
        "EMNIST letters, handwritten letters, upper and lower case merged",
        PictureKind::Characters,
        LETTERS,
        [124_800, 20_800],
    ),
    emnist(
        DatasetName::EmnistMnist,
        "EMNIST MNIST, 70,000 handwritten digits",
        PictureKind::Digits,
        TEN_DIGITS,
        [60_000, 10_000],
    ),
];
