"""What a person looks at: pictures of detections and files of persons."""
