"""From files to clips: annotations, windows of frames, augmentation, loaders, video files."""
